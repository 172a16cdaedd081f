"""How commands are made of functions and option dataclasses; wrong usage, errors and processes."""

import json
import os
import subprocess
import sys
from dataclasses import is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

import hf_transfer_score
from hf_transfer_score import TransferScoreError, score_features
from hf_transfer_score.cli import naming
from hf_transfer_score.cli.app import COMMANDS, build_app, flags_of
from hf_transfer_score.cli.flags import RankFlags, configured_metrics, search_of
from hf_transfer_score.errors import OptionError, UnknownMetricError
from hf_transfer_score.sampling.sample import SampleOptions
from tests.cli.pool import FILES, LABELS, POOL, check_printed


def failing(error):
    def fail():
        raise error

    return fail


SCRIPT = Path(sys.executable).with_name("hf-transfer-score")


class TestUsage:
    def test_without_arguments_the_help(self, run):
        status, out, _ = run()
        assert status == 0
        assert out.startswith("Usage: hf-transfer-score COMMAND")
        assert run("--help") == (0, out, "")

    def test_a_number_of_parameters_may_be_short(self, run):
        for command in ("rank", "choose", "verify"):
            assert "skip candidates with more parameters, such as 50M or 1.5B." in run(command, "--help")[1]

    def test_version(self, run):
        assert run("--version") == (0, f"hf-transfer-score {hf_transfer_score.__version__}\n", "")

    @pytest.mark.parametrize(
        ("arguments", "wording"),
        [
            ("rang", 'Unknown command "rang". Did you mean "rank"?'),
            ("score", "error: FILES is missing: feature files, one per model.\nSee hf-transfer-score score --help."),
            ("layers nope", "error: --model is missing: a model on the Hub, or a folder.\n"),
            ("rank d a/b c/d", "error: Unexpected argument: a/b c/d. Name models with --models.\n"),
            ("rank d --plot", "error: --plot needs a value.\nSee hf-transfer-score rank --help."),
            ("rank d --seed 1.5", "error: --seed '1.5': expected a whole number.\n"),
            ("rank d --max-params 1.5", "--max-params: expected a number such as 100M or 1.5B, got '1.5'\n"),
            ("rank d --max-samples many", "error: --max-samples 'many': expected a whole number.\n"),
            ("score a.npz --json --csv", "--json and --csv exclude each other"),
            ("score a.npz --metrics ,", "expected names separated by commas, such as face,ncti, or all"),
            ("score a.npz --metric face", "Unknown option: --metric. Did you mean --metrics?"),
            ("score a.npz --metrics fase", "error: There is no metric 'fase' (did you mean 'face'?). Known: face"),
            ("score a.npz --metrics FACE", "error: There is no metric 'FACE' (did you mean 'face'?). Known: face"),
            ("score a.npz --metrics face,face", "error: Metric 'face' was chosen twice"),
            ("score a.npz ./a.npz", "error: a.npz is named twice."),
            ("metrics ncit", "error: There is no metric 'ncit' (did you mean 'ncti'?)"),
            ("resluts", 'Unknown command "resluts". Did you mean "results"?'),
            ("results publihs", 'Did you mean "publish"?'),
            ("rank data --max-sampels 3", "Unknown option: --max-sampels. Did you mean --max-samples?"),
            ("rank d --headline face ncti", "argument: ncti. Separate names by commas: --headline face,ncti."),
            ("rank d --input a b", "argument: b. Give each value by itself: --input a --input b."),
            ("rank d --across throughput", "--across is for --plot, which draws the chart."),
            ("metrics face ncti", "Unexpected argument: ncti.\nSee hf-transfer-score metrics --help."),
        ],
    )
    def test_wrong_usage(self, run, arguments, wording):
        status, out, err = run(*arguments.split())
        assert (status, out) == (2, "") and wording in err and "Traceback" not in err

    def test_interrupted_it_says_so_in_one_sentence(self, run, monkeypatch):
        monkeypatch.setattr(
            "hf_transfer_score.cli.score.choose_metrics", lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert run("score", "a.npz") == (130, "", "interrupted: run the same command again to continue\n")

    def test_interrupted_while_modules_load_it_ends_quietly(self):
        code = (
            "import sys, builtins\n"
            "load = builtins.__import__\n"
            "def interrupted(name, *rest, **more):\n"
            "    if name == 'cyclopts': raise KeyboardInterrupt\n"
            "    return load(name, *rest, **more)\n"
            "builtins.__import__ = interrupted\n"
            "from hf_transfer_score.cli import main\n"
            "sys.exit(main())"
        )
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")

    @pytest.mark.parametrize(("error", "status"), [(TransferScoreError, 1), (OptionError, 2), (UnknownMetricError, 2)])
    def test_our_errors_are_one_line(self, run, monkeypatch, error, status):
        monkeypatch.setattr("hf_transfer_score.cli.metrics.all_guides", failing(error("what happened")))
        assert run("metrics") == (status, "", "error: what happened\n")

    @pytest.mark.parametrize(
        ("error", "wording"),
        [
            (PermissionError(13, "Permission denied", "a/b"), "a/b: Permission denied."),
            (OSError(28, "No space left on device", "a/b"), "the disk is full for a/b (No space left on device)"),
            (OSError("odd"), "odd; --traceback shows where."),
            (MemoryError(), "there is not enough memory: take fewer samples"),
            (RecursionError("too deep"), "some input is nested too deeply"),
            (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), "some text cannot be read or written in its encoding"),
            (ZeroDivisionError("by\x1b[2J\nzero"), "unexpected error: ZeroDivisionError: by\\x1b[2J zero"),
        ],
    )
    def test_whatever_else_goes_wrong_is_one_line_too_and_the_place_is_shown_on_request(
        self, run, monkeypatch, error, wording
    ):
        monkeypatch.setattr("hf_transfer_score.cli.metrics.all_guides", failing(error))
        status, out, err = run("metrics")
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {wording}") and err.count("\n") == 1
        for arguments in (["metrics", "--traceback"], ["--traceback", "metrics"]):
            status, out, err = run(*arguments)
            assert (status, out) == (2, "")
            assert err.startswith("Traceback (most recent call last)") and f"\nerror: {wording}" in err
            assert "\x1b" not in err


class TestOptions:
    def test_they_change_the_numbers(self, folder, run):
        _, out, _ = run("score", "far.npz", "--metrics", "face", "--option", "face.temperature=0.5", "--json")
        metric = hf_transfer_score.get_metric("face", temperature=0.5)
        assert (
            json.loads(out)["results"]["face"]["terms"]
            == score_features(POOL["far"], LABELS, metrics=metric)["face"].terms
        )

    @pytest.mark.parametrize(
        ("setting", "value"),
        [
            ("face.temperature=2", 2.0),
            ("face.temperature=1e-2", 0.01),
            ("face.include_self=true", True),
            ("face.include_self=No", False),
            ("face.pca=16", 16),
            ("face.pca=none", "none"),
            ("face.covariance=full", "full"),
            ("knn.neighbours=3", 3),
            ("knn.distance = euclidean", None),
        ],
    )
    def test_they_get_the_type_of_their_field(self, setting, value):
        name, _, option = setting.partition("=")[0].partition(".")
        if value is None:
            with pytest.raises(OptionError, match="expected METRIC.OPTION=VALUE, such as face.temperature=0.1"):
                configured_metrics([name], [setting])
            return
        found = getattr(configured_metrics([name], [setting])[0].options, option)
        assert (found, type(found)) == (value, type(value))

    @pytest.mark.parametrize(
        ("setting", "wording"),
        [
            ("face.temperature=hot", "face.temperature must be a number, got 'hot'."),
            ("face.temperature=0", "face: temperature must be a number above 0, got 0.0."),
            ("knn.neighbours=2.5", "knn.neighbours must be a whole number, got '2.5'."),
            ("face.include_self=maybe", "face.include_self must be true or false, got 'maybe'."),
            (
                "face.covariance=diagnal",
                "face.covariance must be one of shrunk, full, pooled_spherical, spherical, diagonal",
            ),
            ("face.covariance=diagnal", "did you mean 'diagonal'"),
            ("face.pca=2.5", 'face: pca must be "auto", "none" or a whole number'),
            ("face.temp=1", "face has no option 'temp' (did you mean 'temperature'?)"),
            ("fase.temperature=1", "There is no metric 'fase' (did you mean 'face'?)"),
            ("cdnv.pca=3", "cdnv has no option 'pca'. Its options: none."),
            ("temperature=1", "expected METRIC.OPTION=VALUE, such as face.temperature=0.1."),
            ("nc1.form=trace_ratio", "nc1 is not one of the metrics face, knn, cdnv: name it with --metrics."),
        ],
    )
    def test_wrong_ones_are_wrong_usage(self, folder, run, setting, wording):
        status, out, err = run("score", "far.npz", "--metrics", "face,knn,cdnv", "--option", setting)
        assert (status, out) == (2, "") and err.startswith("error: ") and wording in err and err.count("\n") == 1

    def test_twice_the_same(self, folder, run):
        again = ["--option", "face.pca=3", "--option", "face.pca=4"]
        assert "error: face.pca=4: face.pca is set twice." in run("score", "far.npz", *again)[2]


class TestFacts:
    def test_they_reach_the_baselines(self, folder, run):
        facts = ["--facts", "near:parameters=5_000_000,downloads=7", "--facts", "far:parameters=100"]
        _, out, _ = run("score", *FILES, "--metrics", "parameter_count,downloads", "--json", *facts)
        pools = json.loads(out)["pools"]
        assert pools["parameter_count"]["ranks"] == {"near": 1, "far": 2}
        assert json.loads(out)["pool"]["near"]["results"]["downloads"]["terms"] == {"downloads": 7.0}

    @pytest.mark.parametrize(
        ("facts", "wording"),
        [
            ("far", "far: expected MODEL:FACT=NUMBER, such as resnet50:parameters=25557032."),
            ("fat:parameters=3", "fat:parameters=3: there is no model 'fat' here. Models: far."),
            ("far:size=3", "far:size=3: unknown fact 'size'. Known: parameters, downloads."),
            (
                "far:parameters=many",
                "far:parameters=many: parameters must be a whole number, such as 86500000 or 86.5M, got 'many'.",
            ),
            ("far:parameters=1.5", "such as 86500000 or 86.5M, got '1.5'."),
            ("far:parameters=-1", "parameters must be a whole number, such as 86500000 or 86.5M, got '-1'."),
        ],
    )
    def test_wrong_ones_are_wrong_usage(self, folder, run, facts, wording):
        status, out, err = run("score", "far.npz", "--facts", facts)
        assert (status, out) == (2, "") and wording in err


class TestProcesses:
    def run(self, *command, **options):
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, **options)

    def test_the_command_and_the_module_are_the_same(self):
        installed, module = (
            self.run(SCRIPT, "metrics", "nc1"),
            self.run(sys.executable, "-m", "hf_transfer_score", "metrics", "nc1"),
        )
        assert (installed.returncode, installed.stderr) == (0, "")
        assert installed.stdout == module.stdout
        assert self.run(SCRIPT, "metrics", "nothing").returncode == 2

    @pytest.mark.parametrize("argument", ["--json", "nc1"])
    def test_a_closed_pipe_is_quiet_after_much_and_after_little(self, argument):
        process = subprocess.Popen([SCRIPT, "metrics", argument], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        assert (process.wait(60), errors) == (141, b"")

    def test_letters_an_encoding_lacks_do_not_stop_it(self):
        done = self.run(SCRIPT, "metrics", "ncti", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
        assert (done.returncode, done.stderr) == (0, "")
        assert "vc ?" in done.stdout

    def test_help_and_the_list_load_nothing_heavy(self):
        code = (
            "import sys; from hf_transfer_score.cli import main; main(['--help']); main(['metrics']); "
            "print(*[name for name in ('torch', 'scipy', 'sklearn', 'pyarrow', 'evaluate') if name in sys.modules])"
        )
        done = self.run(sys.executable, "-c", code)
        assert done.stdout.splitlines()[-1] == ""
        assert done.returncode == 0


def test_register_says_what_it_put_where(parent, tmp_path):
    environment = {**os.environ, "HF_MODULES_CACHE": str(tmp_path)}
    done = parent.run("register", environment=environment)
    assert (done.status, done.err) == (0, "")
    paths = [Path(line.removeprefix("installed ")) for line in done.out.splitlines() if line.startswith("installed")]
    assert {path.stem for path in paths} == {"face_transferability", "ncti_transferability"}
    assert all(path.is_file() and tmp_path in path.parents for path in paths)
    assert 'evaluate.load("face_transferability")' in done.out
    again = parent.run("register", "--json", environment=environment).report
    assert again == {path.stem: str(path) for path in paths}
    check_printed("register", again)


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
    token = naming.arguments.set(lambda: flags_of(build_app(["rank"]), ["rank"]))
    try:
        assert naming.with_flags(message) == shown
    finally:
        naming.arguments.reset(token)


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
