"""A card's section onto the page of its model: as a pull request, or as a commit of who may write there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hf_transfer_score.cards.evidence import Evidence
from hf_transfer_score.cards.model_card import model_card
from hf_transfer_score.errors import HubError, OptionError
from hf_transfer_score.records.exchange import existing
from hf_transfer_score.records.place import HubPlace, PlaceView
from hf_transfer_score.text import HUB_ID
from hf_transfer_score.untrusted import RESULT_BYTES

README = "README.md"
TITLE = "Add transferability scores"


@dataclass(frozen=True)
class Pushed:
    """What became of a push.

    Attributes:
        state: "proposed" as a pull request, "pending" where an open one says the same, "written", or "unchanged".
        where: address of the pull request, or the commit.
    """

    state: str
    where: str


def push_card(
    evidence: Evidence,
    *,
    create_pr: bool = False,
    metadata: bool = True,
    files: Mapping[str, bytes] | None = None,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> Pushed:
    """Put the section and metadata of a model on its page; what the page has stays.

    Args:
        evidence: what is known about the model.
        create_pr: propose it as a pull request; needs no right to write there.
        metadata: whether the terms are put into the card's metadata too.
        files: other files by path, which are written in the same commit.
        token: for the Hub; None for the one that its client finds.
        endpoint: another Hub than that of HF_ENDPOINT.
    """
    if HUB_ID.fullmatch(evidence.model) is None:
        raise OptionError(
            f"{evidence.model!r} is not a model on the Hub, so it has no page: expected OWNER/NAME. "
            "Write its card to a file instead."
        )
    place = HubPlace(evidence.model, repo_type="model", create_pr=create_pr, token=token, endpoint=endpoint)
    wanted: dict[str, bytes] = {}

    def change(view: PlaceView) -> Mapping[str, bytes]:
        there = view.read([README, *(files or {})])
        card = model_card(evidence, _text(there.get(README, b""), evidence.model), metadata=metadata).encode()
        wanted.clear()
        wanted.update({path: new for path, new in {README: card, **(files or {})}.items() if there.get(path) != new})
        return wanted

    view = existing(place)
    change(view)
    if not wanted:
        return Pushed("unchanged", view.version)
    if create_pr:
        for revision, url in place.pull_requests(TITLE):  # those of ours that are open and say the same
            if place.contents(revision, wanted) == wanted:
                return Pushed("pending", url)
    done = place.update(change, title=TITLE)
    return Pushed(("proposed" if create_pr else "written") if wanted else "unchanged", done)


def _text(content: bytes, model: str) -> str:
    if len(content) > RESULT_BYTES:
        raise HubError(
            f"{README} of {model} has more than {RESULT_BYTES:,} bytes, so it is not read whole and cannot be added to."
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise HubError(f"{README} of {model} is not UTF-8, so it cannot be added to without damage.") from None
