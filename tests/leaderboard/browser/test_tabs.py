"""The tabs beside the board in a real browser: trust, compare, model, upload, submit."""

import json
import signal
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest

from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
from hf_transfer_score.records.place import FolderPlace
from hf_transfer_score.records.shipped import REFERENCE, read_shipped, shipped_folder
from hf_transfer_score.records.store import load
from hf_transfer_score.requests.queue import RequestQueue
from tests.conftest import clean_environment
from tests.hub.server import LocalHub
from tests.leaderboard.browser.looking import open_tab, wait_for_table
from tests.leaderboard.made import failed, write_records
from tests.runs.warm import until

CIFAR, DIGITS = "uoft-cs/cifar10", "scikit-learn digits 5-9"

SERVE = """
import signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.leaderboard.browser.conftest import served

with served(Path(sys.argv[1]), Path(sys.argv[2])) as address:
    print(address, flush=True)
    signal.pause()
"""


SEEN = """
window.seen = "";
new MutationObserver(() => { window.seen += document.querySelector("#lb-trust")?.innerText ?? ""; })
  .observe(document, {childList: true, subtree: true});
"""
"""Keeps all that the tab has shown."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """The shipped records with a failure beside them, and an empty queue."""
    results, requests = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("requests")
    shipped = read_shipped(shipped_folder() / REFERENCE)
    write_records(results, [*shipped, failed("org/broken", reason="access was not granted")])
    return results, requests


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with LocalHub(tmp_path_factory.mktemp("tabs") / "hub") as local:
        local.add("owner/model", {"config.json": "{}", "model.safetensors": b"\x02\0\0\0\0\0\0\0{}"})
        local.add("owner/pets", {"train.jsonl": '{"text": "a", "label": 0}\n'}, kind="dataset")
        yield local


@pytest.fixture(scope="module")
def address(browser, parent, folders, hub, tmp_path_factory):
    """The app in a process of its own: what asks the Hub reads its address on import."""
    environment = clean_environment(tmp_path_factory.mktemp("home"), hub.endpoint)
    arguments = [*map(str, folders), str(Path(__file__).parents[3])]
    process = parent.start(arguments, environment, code=SERVE, imports=("gradio",))
    until(lambda: process.out.exists() and "\n" in process.out.read_text())
    yield process.out.read_text().strip()
    process.send(signal.SIGKILL)


@pytest.fixture
def visit(opened, address, folders):
    """Open a view in a page of its own."""
    boards = {one.key.dataset: one.key.slug for one in Catalogue(load(FolderPlace(folders[0])).table).boards()}

    def open_view(tab: str, *, board: str | None = None, width: int = 1100, **values: str):
        query = {"tab": tab, **({"board": boards[board]} if board else {}), **values}
        return opened(f"{address}?{urlencode(query)}", width=width)

    return open_view


def shows(page, selector: str, text: str) -> None:
    page.locator(selector).filter(has_text=text).first.wait_for()


def test_trust_shows_the_published_agreement(visit):
    page = visit("trust", board=CIFAR)
    shows(page, "#lb-trust-table", "ncti_published")
    row = page.locator("#lb-trust-table tr").filter(has_text="ncti_published").inner_text()
    assert "0.843" in row
    assert "baseline" in page.locator("#lb-trust-table tr").filter(has_text="parameter_count").inner_text()
    assert "No metric is clearly above the trivial baselines" in page.locator("#lb-conclusion").inner_text()
    page.wait_for_selector("#lb-trust-plot svg.marks >> visible=true")
    page.add_init_script(SEEN)
    page.reload()
    shows(page, "#lb-trust-table", "ncti_published")
    assert "no board" not in page.evaluate("seen"), "nothing is said of the time before the board is known"


def test_two_models_are_compared_and_swapped(visit):
    page = visit("compare", board=DIGITS, first="pixels", second="network_trained")
    shows(page, "#lb-told", "network_trained")
    heads = page.locator("#lb-compare table").first.locator("thead th")
    assert heads.all_inner_texts() == ["pixels", "network_trained"]
    page.locator("#lb-swap").click()
    page.wait_for_function(
        "document.querySelector('#lb-compare thead th:nth-child(2)').innerText === 'network_trained'"
    )
    field = page.locator("#lb-second input")
    field.fill("no such model")
    field.press("Enter")
    shows(page, "#lb-compare", "no such model has no scores on this board.")
    field.fill("pca_16")
    field.press("Enter")
    shows(page, "#lb-told", "pca_16")
    assert "second=pca_16" in _address_with(page, "pca_16")


def _address_with(page, text: str) -> str:
    page.wait_for_function("text => window.location.href.includes(text)", arg=text)
    return page.url


def test_a_failure_is_explained_on_the_page_of_its_model(visit):
    page = visit("model")
    shows(page, "#lb-model-page", "Choose a model")
    field = page.locator("#lb-model input")
    field.fill("org/broken")
    field.press("Enter")
    shows(page, "#lb-model-page", "access was not granted")
    assert "gated" in page.locator("#lb-model-page").inner_text()
    with page.expect_download() as found:
        page.locator("#lb-model-json").click()
    assert found.value.suggested_filename == "org--broken.json"
    assert json.loads(Path(found.value.path()).read_text())[0]["reason"] == "access was not granted"


def test_a_model_has_its_card_terms_and_overlap(visit):
    page = visit("model", model="pixels")
    shows(page, "#lb-model-page", "class_fairness")
    text = page.locator("#lb-model-page").inner_text()
    page.wait_for_selector("#lb-model-plot svg.marks [aria-label^='Class overlap in the features of pixels']")
    assert "How it was run" in text
    with page.expect_download() as found:
        page.locator("#lb-model-card").click()
    assert found.value.suggested_filename == "pixels.md"
    assert "## Transferability" in Path(found.value.path()).read_text()


def saved(path: Path, distance: float, **labels) -> Path:
    codes = np.repeat([0, 1, 2], 30)
    rows = np.random.default_rng(0).normal(size=(90, 8)) + distance * np.eye(8)[codes]
    np.savez(path, features=rows, **({"labels": codes} if labels.get("labels", True) else {}))
    return path


def test_uploads_are_ranked_and_bad_ones_named(visit, tmp_path):
    page = visit("upload")
    files = [saved(tmp_path / "near.npz", 1.0), saved(tmp_path / "far & <b>wide.npz", 4.0, labels=False)]
    np.savez(tmp_path / "odd.npz", features=np.array([{}], dtype=object), labels=[0])
    page.locator("#upload-files input[type=file]").set_input_files([*files, tmp_path / "odd.npz"])
    shows(page, "#upload-files", "odd")
    page.locator("#upload-score").click()
    page.wait_for_function("document.querySelector('#upload-notes textarea').value.includes('Scored 2 models')")
    notes = page.locator("#upload-notes textarea").input_value()
    assert "odd cannot be scored." in notes
    assert "pickled Python objects" in notes
    page.wait_for_function("(document.querySelector('#upload-ranking') || {}).innerText?.includes('near')")
    text = page.locator("#upload-ranking").inner_text()
    assert text.index("far") < text.index("near")
    assert page.locator("#upload-ranking b").count() == 0


def test_a_request_is_checked_queued_and_listed(visit, folders):
    page = visit("submit")
    shows(page, "#lb-requests", "There are no requests yet.")
    page.locator("#lb-ask-model :is(input, textarea)").fill("<img src=x onerror=window.hacked=1>")
    page.locator("#lb-ask-dataset :is(input, textarea)").fill("owner/pets")
    shows(page, "#lb-answer", "is not an id on the Hub")  # told already when the field is left
    page.locator("#lb-ask-model :is(input, textarea)").fill("owner/missing")
    page.locator("#lb-ask").click()
    shows(page, "#lb-answer", "There is no model owner/missing on the Hub")
    page.locator("#lb-ask-model :is(input, textarea)").fill("owner/model")
    page.locator("#lb-ask").click()
    shows(page, "#lb-answer", "owner/model on owner/pets is in the queue.")
    shows(page, "#lb-requests tr", "owner/model")
    assert "pending" in page.locator("#lb-requests tr").filter(has_text="owner/model").inner_text()
    (request,) = RequestQueue(FolderPlace(folders[1])).requests()
    assert (request.model, request.dataset, request.state) == ("owner/model", "owner/pets", "pending")
    page.locator("#lb-ask").click()
    shows(page, "#lb-answer", "was requested before and waits for a worker")


TABS = {
    "Which metric can I trust?": "#lb-trust-table table",
    "Compare": "#lb-compare table",
    "Model": "#lb-model-page table",
    "Score your features": "#upload-score",
    "Submit": "#lb-ask",
}


def test_a_phone_shows_no_more_than_its_width_and_every_control_has_a_name(visit):
    page = visit("board", board=DIGITS, model="pixels", width=360)
    wait_for_table(page)
    for title, content in TABS.items():
        open_tab(page, title)
        page.locator(content).first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        nameless = "list => list.filter(one => !one.ariaLabel && !one.labels?.length).map(one => one.outerHTML)"
        assert page.locator("input:visible, textarea:visible").evaluate_all(nameless) == []
