"""Untrusted text gives values, or one kind of error with a short reason."""

import json
import re
from pathlib import Path

import pytest

import hf_transfer_score
from hf_transfer_score.errors import UnreadableError
from hf_transfer_score.untrusted import Limits, parse_json, parse_yaml, readable, reason_of

SMALL = Limits(size=1000, depth=5, values=20, letters=50)


@pytest.mark.parametrize("value", [None, True, 0, -(2**63), 2**63 - 1, 0.5, 1e308, "é", [], {}, {"a": [{"b": 1}]}])
def test_json_reads_what_json_writes(value):
    found = parse_json(json.dumps(value))
    assert found == value
    assert type(found) is type(value)


def test_bytes_are_utf_8_with_or_without_a_mark():
    assert parse_json("\ufeff[1]".encode()) == parse_json(b"[1]") == [1]


BAD_JSON = {
    "": "is not JSON: JSONDecodeError",
    "{": "is not JSON",
    "[1] 2": "Extra data",
    "NaN": "NaN is not a finite number",
    "[-Infinity]": "-Infinity is not a finite number",
    "1e999": "1e999 is beyond any number",
    "1" + "0" * 400: "401 digits",
    f"{2**63}": "takes more than 64 bits",
    f"{-(2**63) - 1}": "takes more than 64 bits",
    '{"a": 1, "b": 1, "a": 2}': "names 'a' twice",
    '"\\ud800"': "UTF-8 cannot hold",
    '{"\\udfff": 1}': "UTF-8 cannot hold",
    "[" * 6 + "]" * 6: "nested too deeply",
    "[" * 900: "is not JSON",
    '{"a":' * 6 + "1" + "}" * 6: "nested too deeply",
    str(list(range(30))): "more than 20 values",
    '"' + "a" * 60 + '"': "a text of 60 letters",
    '{"' + "a" * 60 + '":1}': "a text of 60 letters",
    " " * 1001 + "1": "too large: 1,002 bytes",
}


@pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\x80"', "\ud800", '"\ud800"', "[1]".encode("utf-16")])
def test_invalid_utf_8(data):
    with pytest.raises(UnreadableError, match="is not UTF-8"):
        parse_json(data)
    with pytest.raises(UnreadableError, match="is not UTF-8"):
        parse_yaml(data)


def test_a_text_counts_in_bytes():
    with pytest.raises(UnreadableError, match="too large"):
        parse_json('"' + "é" * 600 + '"', limit=SMALL)


def test_lenient_reads_what_libraries_write():
    found = parse_json('{"a": Infinity, "b": 1' + "0" * 30 + ', "c": 1, "c": 2}', lenient=True)
    assert found == {"a": float("inf"), "b": 10**30, "c": 2}
    with pytest.raises(UnreadableError, match="has 401 digits"):
        parse_json("1" + "0" * 400, lenient=True)


def test_yaml_reads_plain_values():
    text = "a: [1, 0.5, true, null, ~]\nb: 2024-01-31\n1: 'x'\nc: |\n  long\nd: 0x1f\nno: {e: f}"
    assert parse_yaml(text) == {
        "a": [1, 0.5, True, None, None],
        "b": "2024-01-31",
        1: "x",
        "c": "long\n",
        "d": 31,
        False: {"e": "f"},
    }
    assert parse_yaml("") is parse_yaml("# nothing") is None


def test_an_alias_counts_as_what_it_repeats():
    assert parse_yaml("a: &x [1, 2]\nb: *x") == {"a": [1, 2], "b": [1, 2]}
    with pytest.raises(UnreadableError, match="more than 20 values"):
        parse_yaml("a: &x [1, 2, 3, 4, 5, 6]\nb: [*x, *x, *x]", limit=SMALL)


BAD_YAML = {
    "a: [": "is not YAML",
    "a: 1\na: 2": "names 'a' twice",
    "a: 1\n---\nb: 2": "more than one document",
    "a: !!python/object/apply:os.system [id]": "has the tag",
    "a: !!str 1": "has the tag",
    "a: &x {b: 1}\nc:\n  <<: *x": "has a merge key",
    "a: &x [*x]": "repeats 'x', which is not defined before",
    "a: *x": "repeats 'x'",
    "? [a]\n: 1": "a list or mapping as a name",
    "a: .inf": "a number that cannot be stored",
    "a: .nan": "a number that cannot be stored",
    "a: 1.0e+999": "a number that cannot be stored",
    f"a: {2**63}": "a number that cannot be stored",
    "a: " + "1" * 45: "a number that cannot be stored",
    "[" * 6 + "]" * 6: "nested too deeply",
    '"\\ud800"': "",
    str(list(range(30))): "more than 20 values",
    "a: " + "b" * 60: "a text of 60 letters",
    "\x00": "is not YAML",
}


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [(parse, *one) for parse, bad in ((parse_json, BAD_JSON), (parse_yaml, BAD_YAML)) for one in bad.items()],
)
def test_text_that_cannot_be_read_is_one_kind_of_error(parse, text, said):
    with pytest.raises(UnreadableError) as caught:
        parse(text, what="a record", limit=SMALL)
    assert said in str(caught.value) and str(caught.value).startswith("A record ")
    assert len(str(caught.value)) < 400


def test_a_bomb_of_aliases_ends_at_once():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(UnreadableError, match="more than 200,000 values"):
        parse_yaml("\n".join(lines))


def test_a_chain_of_aliases_is_as_deep_as_it_says():
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    with pytest.raises(UnreadableError, match="nested too deeply"):
        parse_yaml("\n".join(lines))


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_yaml_ends_at_once(opening):
    with pytest.raises(UnreadableError):
        parse_yaml(opening * 100_000)


@pytest.mark.parametrize("error", [OverflowError, RecursionError, MemoryError, ValueError, ZeroDivisionError, OSError])
def test_any_exception_leaves_out_one_item_only(error):
    left_out = []

    def read(thing):
        if thing == 2:
            raise error("be\x1b[31mcause")
        return thing * 10

    assert list(readable([1, 2, 3], read, lambda *both: left_out.append(both))) == [10, 30]
    assert left_out == [(2, f"{error.__name__}: be [31mcause")]


def test_an_interrupt_is_not_caught():
    def read(thing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(readable([1], read, print))


def test_reasons_are_short_lines():
    assert len(reason_of(ValueError("x\n" * 10_000))) == 300
    assert reason_of(UnreadableError("Too\n\tlong.")) == "Too long."
    assert reason_of(KeyError()) == "KeyError"


OUR_OWN = {
    "integrity.py": "what was made JSON the line before, and files that a checksum of ours seals",
    "records/store.py": "the files that were refused here, and why, as this computer wrote it down",
    "requests/kept.py": "contents that this computer kept; the decoder reads each of them afterwards",
    "finetune/built.py": "the head of a state that a training here left, and the header of safetensors around it",
    "choosing/trainer.py": "steps that a choice on this computer wrote down",
    "sampling/load.py": "what was made JSON on the same line",
    "sampling/sample.py": "a sample that was stored here",
    "sampling/draw.py": "rows that were put there a moment ago",
    "ranking/history.py": "columns of tables whose records were checked when they were read",
    "leaderboard/boards/rows.py": "columns of tables whose records were checked when they were read",
    "ranking/stored.py": "blocks and options of records that were checked, as text",
    "ranking/settings.py": "options and model blocks of records that were checked",
    "backbones/static_backbone.py": "what the tokenizer that was read writes of itself",
    "drawing/look.py": "the specification of a chart, made the line before",
    "uploads/gate.py": "what gradio answers; what visitors ask goes through the decoder",
    "uploads/box.py": "what this process and the one that it starts say to each other",
    "cards/metadata.py": "text that went through parse_yaml first, whose dates and places in the text are needed",
    "sampling/reach.py": "text that went through parse_yaml first, as the library that reads it next does",
}
"""Modules besides the decoder that read JSON or YAML, and why that text is trusted."""

READERS = re.compile(
    r"\bjson\.(loads?|JSONDecoder)\b|\byaml\.(\w*load\w*|compose|parse|scan)\b|from (json|yaml) import"
)


def test_text_of_strangers_is_read_by_the_decoder_alone():
    package = Path(hf_transfer_score.__file__).parent
    texts = {path.relative_to(package).as_posix(): path.read_text() for path in package.rglob("*.py")}
    found = {name for name, text in texts.items() if READERS.search(text)} - {"untrusted.py"}
    assert found - OUR_OWN.keys() == set(), "read it by `untrusted`, or say above why nobody else wrote it"
    assert OUR_OWN.keys() - found == set(), "these read no JSON or YAML any more"


def test_readers_are_found():
    for text in ("json.loads(x)", "json.load(x)", "yaml.safe_load(x)", "yaml.load_all(x)", "from json import loads"):
        assert READERS.search(text)
    assert not READERS.search("json.dumps(x), yaml.safe_dump(x), parse_json(x)")
