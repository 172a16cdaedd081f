"""What a browser would see of a page."""

import re
from html.parser import HTMLParser

VOID = ("meta", "br", "img")


class Page(HTMLParser):
    """The elements with their attributes, and the texts with the element around them; every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.data: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append((self.open[-1] if self.open else "", data))

    @property
    def elements(self) -> set[str]:
        return {tag for tag, _ in self.tags}

    @property
    def attributes(self) -> set[str]:
        return {name for _, attributes in self.tags for name in attributes}

    @property
    def links(self) -> list[str]:
        return [value for _, attributes in self.tags for name, value in attributes.items() if name in ("href", "src")]

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(data for _, data in self.data))
