"""What every command takes: flags from a file and into one, help that fits a screen, and the same for all."""

import re
import shlex

import pytest
import yaml

from hf_transfer_score.cli.app import COMMANDS, build_app
from hf_transfer_score.cli.shared import FlagsOfFile, FlagsToFile
from tests.cli.pool import FILES


class TestFilesOfFlags:
    def test_a_file_says_what_flags_would(self, folder, run):
        (folder / "score.yaml").write_text(
            "files: [far.npz, near.npz]\nmetrics: [face, ncti]\noption: face.temperature=0.5\n"
        )
        typed = run(
            "score", "far.npz", "near.npz", "--metrics", "face,ncti", "--option", "face.temperature=0.5", "--csv"
        )
        assert run("score", "--config", "score.yaml", "--csv") == typed
        assert typed[0] == 0

    def test_what_is_typed_counts_more_and_all_of_it_can_be_kept(self, folder, run):
        (folder / "in.yaml").write_text("metrics: face\nterms: true\n")
        typed = run("score", *FILES, "--terms", "--metrics", "ncti")
        assert run("score", *FILES, "--config=in.yaml", "--metrics", "ncti", "--save-config", "out.yaml") == typed
        kept = yaml.safe_load((folder / "out.yaml").read_text())
        assert kept == {"files": list(FILES), "metrics": "ncti", "terms": True}
        assert run("score", "--config", "out.yaml") == typed

    @pytest.mark.parametrize(
        "typed",
        [
            "rank d --search good words --limit 3 --max-params 50M --adaptive=false --quiet",
            "rank d --search --models a b@main --metrics face,ncti --option face.temperature=0.1 --option ncti.pca=10",
            "choose d --licenses mit,apache-2.0 --budget '3 fine-tunings' --within 1 --learning-rates 1e-3,3e-3",
            "verify d --models a --seeds 0,1 --method probe --save results",
            "card m --no-metadata",
            "card m --metadata=false",
            "results merge a b --into c",
        ],
    )
    def test_kept_flags_are_read_as_they_were_typed(self, tmp_path, typed):
        words, path = shlex.split(typed), tmp_path / "kept.yaml"
        app = build_app(words)
        app.config = (kept := FlagsToFile(path),)
        _, first, _ = app.parse_args(words, exit_on_error=False, print_error=False)
        kept.write()
        app.config = (FlagsOfFile(path),)
        _, again, _ = app.parse_args(words[: 1 + (words[0] == "results")], exit_on_error=False, print_error=False)
        assert (again.args, again.kwargs) == (first.args, first.kwargs)

    @pytest.mark.parametrize(
        ("text", "wording"),
        [
            ("metrcis: face", "Unknown option: metrcis from in.yaml. Did you mean --metrics?"),
            ("metrics: fase", "There is no metric 'fase' (did you mean 'face'?)"),
            ("terms: perhaps", 'unable to convert "perhaps" into bool'),
            ("json: true\ncsv: true", "--json and --csv exclude each other"),
            ("metrics: {face: 1}", "in.yaml: metrics: expected a value, or a list of values, got {'face': 1}."),
            ("metrics:", "in.yaml: metrics: expected a value"),
            ("- face", "in.yaml: expected one flag with its value per line"),
            ("a: b: c", "in.yaml is not YAML"),
            ("metrics: !!python/name:os.system", "in.yaml "),
        ],
    )
    def test_a_file_is_checked_as_if_it_were_typed(self, folder, run, text, wording):
        (folder / "in.yaml").write_text(text)
        status, out, err = run("score", "far.npz", "--config", "in.yaml", "--save-config", "out.yaml")
        assert status in (1, 2) and out == "" and wording in err and "Traceback" not in err

    def test_a_file_that_is_not_there(self, folder, run):
        assert run("score", "far.npz", "--config", "no.yaml")[2].startswith(
            "error: no.yaml cannot be read as a file of"
        )
        assert "--config needs the name of a YAML file" in run("score", "far.npz", "--config")[2]


WITHOUT_EXAMPLES = ("metrics", "register", "cache list", "cache clear")
SERVICES = ("leaderboard", "worker")
"""They run until they are stopped, and print no answer."""


@pytest.mark.parametrize("words", [words for group in COMMANDS.values() for words in group])
def test_help_fits_a_screen_and_all_of_it_can_be_asked_for(run, monkeypatch, words):
    monkeypatch.setenv("COLUMNS", "100")
    status, out, _ = run(*words.split(), "--help")
    assert status == 0 and len(out.splitlines()) <= 60 and max(map(len, out.splitlines())) <= 100
    assert f"\n hf-transfer-score {words} " in out or words in WITHOUT_EXAMPLES
    assert re.findall(r"^ (?!hf-transfer-score|   )\S.*", out, re.MULTILINE) == [], "no example is broken in the middle"
    assert ("--json" in out) == (words not in SERVICES)
    whole = run(*words.split(), "--help-all")[1]
    known = {*whole.split(), "--help-all", "--save-config", "--config"}
    assert {word for word in out.split() if word.startswith("--")} <= known


def test_what_help_leaves_out_is_there_on_request(run):
    assert "--rows-per-example" not in run("rank", "--help")[1]
    assert "--rows-per-example" in run("rank", "--help-all")[1]
