"""Templates: values are escaped unless a filter made them, and a missing name is an error."""

import jinja2
import pytest

from hf_transfer_score.text import TEMPLATES, code, environment, plain

MARKDOWN = environment(plain, {"code": code})


def rendered(text, **values):
    return MARKDOWN.from_string(text).render(**values)


def test_values_are_escaped_and_what_filters_made_is_not_escaped_twice():
    assert rendered("*{{ a }}* {{ a | code }} {{ 3 }}", a="<b>*x*|") == "*&lt;b&gt;&#42;x&#42;&#124;* `<b>*x*¦` 3"


def test_lists_are_escaped_one_by_one():
    assert rendered("{{ ['*', 'a|b'] | join(', ') }}") == "&#42;, a&#124;b"
    assert rendered("{{ [a | code, a] | join(' ') }}", a="*") == "`*` &#42;"


def test_output_of_a_macro_is_not_escaped():
    assert rendered("{% macro bold(x) %}**{{ x }}**{% endmacro %}{{ bold(a) }}", a="*") == "**&#42;**"


def test_a_name_that_is_not_given_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="'colour' is undefined"):
        rendered("{{ colour }}")


def test_every_template_is_read_and_shown_by_somebody():
    sources = [*TEMPLATES.parent.rglob("*.py"), *(one for one in TEMPLATES.iterdir() if one.suffix != ".png")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    names = [path.name for path in TEMPLATES.iterdir()]
    assert len(names) > 10 and [name for name in names if f'"{name}"' not in text] == []
    for name in names:
        if name.endswith(".jinja"):
            MARKDOWN.parse((TEMPLATES / name).read_text(encoding="utf-8"))
