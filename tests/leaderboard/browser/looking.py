"""What tests look at on the page of the leaderboard."""

from urllib.parse import parse_qs, urlsplit

FIRST_CELL = "#lb-table [data-testid=cell-0-0]"


def wait_for_table(page) -> None:
    page.wait_for_selector(FIRST_CELL)


def column(page, place: int = 1) -> list[str]:
    """Return the texts of a column of the table as they are shown."""
    return [
        one.inner_text().strip() for one in page.query_selector_all(f"#lb-table [role=gridcell][data-col='{place}']")
    ]


def headers(page) -> list[str]:
    return [one.inner_text() for one in page.query_selector_all("#lb-table [role=columnheader] .header.text")]


def wait_for_models(page, *names: str) -> None:
    """Wait until the table shows these models, in this order."""
    page.wait_for_function(
        """names => {
          const cells = [...document.querySelectorAll("#lb-table [role=gridcell][data-col='1']")];
          return JSON.stringify(cells.map(one => one.innerText.trim())) === JSON.stringify(names);
        }""",
        arg=list(names),
    )


def wait_for_text(page, selector: str, text: str) -> None:
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)", arg=[selector, text]
    )


def wait_for_query(page, **wanted: str | None) -> None:
    """Wait until the address has these parameters, and none of those that are None."""
    page.wait_for_function(
        """wanted => {
          const query = new URLSearchParams(window.location.search);
          return Object.entries(wanted).every(([name, value]) => query.get(name) === value);
        }""",
        arg=wanted,
    )


def query(page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def open_tab(page, title: str) -> None:
    """Open a tab, also where it is behind the menu of those that have no room."""
    tab = page.get_by_role("tab", name=title, exact=True)
    if not tab.is_visible():
        page.locator("#lb-tabs .overflow-menu > button").click()
        page.locator("#lb-tabs .overflow-dropdown button", has_text=title).click()
        return
    tab.click()


def open_controls(page) -> None:
    if not page.locator("#lb-columns").is_visible():
        page.get_by_role("button", name="Columns, filters and order").click()
        page.wait_for_selector("#lb-columns", state="visible")


def choose(page, name: str, text: str) -> None:
    page.click(f"#{name} input")
    page.locator(f"#{name} [role=option]", has_text=text).first.click()
