"""What cannot be scored, for its own reasons or those of a broken Hub, is a row that says why, beside ranked models."""

import re

import pytest

from tests.conftest import NOBODY, clean_environment
from tests.runs.bad import add_bad
from tests.runs.pool import PICTURES, again

TOKEN, UNKNOWN = "hf_guest_of_these_tests", "hf_nobody_knows_this"
GOOD = ("good/resnet", "good/vit", "fair/pickled", "fair/remote")
OTHERS = ("good/bert", "good/vit@nope", "no/such", "a/b/c", "nosuch")

EXPECTED = {
    "good/bert": ("wrong_modality", "is a checkpoint for texts, and image-classification needs one for images"),
    "good/vit@nope": ("missing", "has no revision 'nope'; give a branch, a tag or a full commit"),
    "no/such": ("missing", "no no/such on the Hub, or it is private: check the id, or log in with `hf auth login`"),
    "a/b/c": ("missing", "'a/b/c' is not an id on the Hub: expected owner/name, or an existing folder"),
    "nosuch": ("missing", "there is no nosuch on the Hub, or it is private: check the id"),
    "absent": ("missing", "is not a folder; a model on the Hub is written owner/name"),
    "void": ("unsupported", "is empty: there are no files in it"),
    "bad/gated": (
        "gated",
        "is gated: ask for access at http://.*/bad/gated, and log in with `hf auth login` or set HF_",
    ),
    "bad/private": ("missing", "there is no bad/private on the Hub, or it is private"),
    "bad/disabled": ("private", "is disabled on the Hub"),
    "bad/large": ("too_large", "has 7,000,000,000 parameters, more than the 1,000,000 asked for"),
    "bad/truncated": ("corrupt", "has a model.safetensors of .* bytes where its header says .*; .* download it again"),
    "bad/header": ("corrupt", "has a model.safetensors .* header is not JSON: .*; .* download it again"),
    "bad/config": ("corrupt", "has a config.json that is not JSON"),
    "bad/no-config": ("unsupported", "has no config.json, so its architecture is unknown"),
    "bad/no-processor": ("no_preprocessor", "has no preprocessor_config.json, .* add the one of the checkpoint it was"),
    "bad/no-weights": ("corrupt", "has no weights: there is no model.safetensors among its files"),
    "bad/unknown-timm": ("unsupported", "timm [0-9.]+ does not know: .*resnet_of_the_future.* --upgrade timm"),
    "bad/unknown": (
        "unsupported",
        "transformers [0-9.]+ does not know: model_type 'frobnicator'; .* --upgrade transfor",
    ),
    "bad/nan": (
        "non_finite",
        "60 of 60 rows have features that are not finite, the first is row 0; its weights may be",
    ),
    "bad/lacking": ("corrupt", "lacks 16 of 40 weights: .*; features of random weights would mean nothing"),
    "bad/adapter": ("unsupported", "is an adapter of the kind 'None'; only LORA is read"),
    "bad/empty": ("unsupported", "is empty: there are no files in it"),
    "bad/keras": ("unsupported", "has weights only for other frameworks, none for PyTorch"),
    "bad/pickled": (
        "pickle_only",
        r"a pickle can run any code when it is loaded; .*name bad/pickled in `allow_pickle`",
    ),
    "bad/remote": ("remote_code", r"needs Python code from its own repository to run; .* in `trust_remote_code`"),
    "bad/strange": ("corrupt", "has a config.json whose model_type is not text but a list"),
}


@pytest.fixture(scope="module")
def outcome(shared_hub, warm, tmp_path_factory):
    """One run of everything that is wrong, beside four models that are not."""
    add_bad(shared_hub)
    shared_hub.users = {TOKEN: "guest"}
    folder = tmp_path_factory.mktemp("folders")
    (folder / "void").mkdir()
    bad = [one.name for one in shared_hub.all("models") if one.name.startswith("bad/")]
    names = [*GOOD, *OTHERS, *bad, str(folder / "void"), str(folder / "absent")]
    allowed = ("--allow-pickle", "fair/pickled", "--trust-remote-code", "fair/remote", "--max-params", "1M")
    return warm.run("rank", PICTURES, "--models", *names, *allowed, "--replicates", "0", "--json")


def test_the_others_are_ranked(outcome):
    assert outcome.status == 0 and "Traceback" not in outcome.err
    assert set(outcome.report["ranks"]) == set(GOOD)
    assert outcome.models["fair/remote"]["parameters"] == 16, "its own code ran"


def test_every_failure_is_expected_and_every_expectation_fails(outcome):
    assert set(outcome.failures) == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_failure_says_why_and_what_to_do(outcome, name):
    kind, words = EXPECTED[name]
    assert outcome.failures[name][0] == kind
    assert re.search(words, outcome.failures[name][1]), outcome.failures[name][1]


def test_what_is_known_before_the_run_costs_no_download(outcome, shared_hub):
    early = ("large", "no-processor", "unknown", "pickled", "remote", "adapter", "keras", "no-config")
    assert [name for name in early if shared_hub.asked(rf"/bad/{name}/.*\.(safetensors|bin|h5)$")] == []
    assert shared_hub.asked(r"/bad/nan/.*\.safetensors$"), "else the line above proves nothing"


def test_nothing_to_rank_is_an_exit_status_of_one(outcome, warm):
    names = ("bad/gated", "bad/private", "no/such")
    arguments = ("rank", PICTURES, "--models", *names, "--json")
    guest = warm.run(*arguments, HF_TOKEN=TOKEN)
    assert guest.status == 1 and guest.report["ranks"] == {}
    kinds = {name: kind for name, (kind, _) in guest.failures.items()}
    assert kinds == {"bad/gated": "gated", "bad/private": "missing", "no/such": "missing"}
    assert re.search(
        "gated, and the token in use has no access to it: ask for access at http", guest.failures["bad/gated"][1]
    )
    assert guest.failures["no/such"][1] == "there is no no/such on the Hub that this token may see; check the id"
    stranger = warm.run(*arguments, HF_TOKEN=UNKNOWN)
    assert stranger.status == 1
    for name in names:
        assert stranger.failures[name][0] == "private"
        assert "the Hub does not know this token; log in with `hf auth login`" in stranger.failures[name][1]


def test_a_token_opens_doors_and_is_never_seen(outcome, shared_hub, warm, tmp_path):
    shared_hub.repository("bad/gated").readers.add("guest")
    shared_hub.requests.clear()
    arguments = ("rank", PICTURES, "--models", "bad/gated", "no/such", "--refresh", "--replicates", "0")
    done = warm.run(*arguments, "--json", HF_TOKEN=TOKEN)
    assert list(done.report["ranks"]) == ["bad/gated"]
    assert any(one.authorized for one in shared_hub.asked("bad/gated"))
    saved = tmp_path / "saved"
    table = warm.run(*arguments, "--save", str(saved), HF_TOKEN=TOKEN)
    assert TOKEN not in done.out + done.err + table.out + table.err
    files = [path for folder in (saved, warm.home, warm.hub_cache) for path in folder.rglob("*") if path.is_file()]
    assert (
        len(files) > 10
        and list(saved.rglob("*.json"))
        and not [path for path in files if TOKEN.encode() in path.read_bytes()]
    )


def test_a_dataset_that_cannot_be_read_is_one_sentence(warm):
    done = warm.run("rank", "data/absent", "--models", "good/vit")
    assert done.status == 1 and done.out == ""
    assert re.fullmatch(r"error: There is no dataset data/absent on the Hub that you can read: .*\n", done.err)


RECOVERING = ("net/cut", "net/busy", "net/broken", "net/unknown")


@pytest.fixture(scope="module")
def faulty(shared_hub, warm):
    """One run in which something goes wrong with every model but one, and the faults that struck."""
    for name in (*RECOVERING, "net/broken-for-ever", "net/well"):
        again(shared_hub, name)
    file = r"/resolve/.*model.safetensors$"
    faults = [
        shared_hub.fault(f"net/cut{file}", "cut", after=100_000),
        shared_hub.fault(f"net/busy{file}", 429, method="GET", retry_after=1),
        shared_hub.fault(f"net/broken{file}", 500, method="GET"),
        shared_hub.fault("/api/models/net/unknown", 503),
    ]
    for_ever = shared_hub.fault(f"net/broken-for-ever{file}", 500, method="GET", times=None)
    names = (*RECOVERING, "net/broken-for-ever", "net/well")
    done = warm.run("rank", PICTURES, "--models", *names, "--json", "--quiet", "--replicates", "0")
    shared_hub.faults.remove(for_ever)
    return done, faults


def test_what_passes_is_waited_for(faulty, shared_hub):
    done, faults = faulty
    assert done.status == 0 and [fault.hits for fault in faults] == [1, 1, 1, 1]
    assert set(done.report["ranks"]) == {*RECOVERING, "net/well"}
    assert len(shared_hub.asked("net/cut/.*safetensors", "GET")) == 2


def test_what_does_not_pass_is_a_row_before_long(faulty, shared_hub):
    done, _ = faulty
    expected = ("download", "could not be downloaded: the Hub answered 500; try again later")
    assert done.failures == {"net/broken-for-ever": expected}
    assert len(shared_hub.asked("net/broken-for-ever/.*safetensors", "GET")) == 4
    assert done.seconds < 40


def test_the_client_says_nothing_in_between(faulty):
    assert faulty[0].err == ""


def test_the_next_run_tries_again(faulty, warm):
    done = warm.run("rank", PICTURES, "--models", "net/broken-for-ever", "net/well", "--json", "--replicates", "0")
    assert {name: one["from_cache"] for name, one in done.models.items()} == {
        "net/broken-for-ever": False,
        "net/well": True,
    }


ERRORS_OF = """
import contextlib, io, sys
from hf_transfer_score.cli import main
err = io.StringIO()
with contextlib.redirect_stderr(err):
    status = main(sys.argv[1:])
answer = [status, err.getvalue()]
"""


def test_without_a_hub_its_dataset_is_one_sentence(run_client, tmp_path):
    environment = clean_environment(tmp_path / "nobody", NOBODY) | {"HF_HUB_OFFLINE": "1"}
    status, err = run_client(ERRORS_OF, environment, "rank", "data/x", "--models", "a/b")
    assert status == 1
    assert err == (
        "error: The dataset data/x is needed from the Hub, but HF_HUB_OFFLINE forbids requests to it. Unset it, or "
        "give a local folder or file.\n"
    )
