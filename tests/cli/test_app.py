"""How commands are made of functions and option dataclasses, and what they say of flags."""

import subprocess
from dataclasses import is_dataclass
from typing import get_type_hints

import pytest

from hf_transfer_score.cli.app import COMMANDS, build_app, flags_of
from hf_transfer_score.cli.flags import RankFlags, search_of
from hf_transfer_score.cli.naming import arguments, with_flags
from hf_transfer_score.sampling.sample import SampleOptions

WORDS = [words for group in COMMANDS.values() for words in group]


def command(words):
    *room, name = words.split()
    app = build_app(words.split())
    return (app[room[0]] if room else app)[name]


@pytest.mark.parametrize("words", WORDS)
def test_all_types_of_options_are_known_where_they_are_read(words):
    for hint in get_type_hints(command(words).default_command).values():
        if is_dataclass(hint):
            assert get_type_hints(hint.__init__)


def test_each_option_of_a_sample_is_a_flag():
    flags = flags_of(build_app(["rank"]), ["rank"])
    assert set(vars(SampleOptions())) <= flags.keys()
    assert (flags["max_samples"], flags["input_columns"], flags["text"]) == ("--max-samples", "--input", "--search")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("max_samples=3: expected at least 4.", "--max-samples 3: expected at least 4."),
        ("Draw with another `seed`, or `label_column`.", "Draw with another --seed, or --label."),
        ("leave it out (full_pass=True), or (full_pass=False)", "leave it out (--full-pass), or (--no-full-pass)"),
        (
            "face.level=2, 'seed=1', ./seed=2.npz and `rank` stay",
            "face.level=2, 'seed=1', ./seed=2.npz and `rank` stay",
        ),
    ],
)
def test_messages_name_flags(message, shown):
    token = arguments.set(lambda: flags_of(build_app(["rank"]), ["rank"]))
    try:
        assert with_flags(message) == shown
    finally:
        arguments.reset(token)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["resluts"], 'Unknown command "resluts". Did you mean "results"?'),
        (["results", "publihs"], 'Did you mean "publish"?'),
        (["rank", "data", "--max-sampels", "3"], "Unknown option: --max-sampels. Did you mean --max-samples?"),
        (["metrics", "face", "ncti"], "Not understood: ncti."),
    ],
)
def test_what_is_misspelt_is_told_with_what_was_meant(run, words, said):
    status, out, err = run(*words)
    assert (status, out) == (2, "") and said in err and "--help shows what it takes" in err


def test_models_are_listed_or_repeated():
    app = build_app(["rank"])
    for words in (["--models", "a", "b"], ["--models", "a", "--models", "b"]):
        _, bound, _ = app.parse_args(["rank", "data", *words], exit_on_error=False, print_error=False)
        assert bound.arguments["candidates"].models == ("a", "b")


def test_a_search_needs_no_words():
    for words, text in ((["--search"], None), (["--search", "mini", "lm"], "mini lm"), (["--library", "timm"], None)):
        _, bound, _ = build_app(["rank"]).parse_args(["rank", "data", *words], exit_on_error=False, print_error=False)
        found = search_of(bound.arguments["search"], None, RankFlags())
        assert (found.text, found.limit) == (text, 10)


def test_completion_knows_commands_and_flags(run, tmp_path):
    script = tmp_path / "script"
    assert run("--install-completion", "--shell", "bash", "--output", str(script))[0] == 0
    text = script.read_text(encoding="utf-8")
    assert "--max-samples" in text and "validate" in text
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
