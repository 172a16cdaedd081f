"""Rankings for others, and what others measured, in one call each."""

from __future__ import annotations

from hf_transfer_score.results.place import open_place
from hf_transfer_score.results.publishing import Published, publish
from hf_transfer_score.results.record import Record
from hf_transfer_score.results.store import load
from hf_transfer_score.selection.records import records_of
from hf_transfer_score.selection.report import RankReport


def publish_report(report: RankReport, to: str, *, create_pr: bool = False) -> Published:
    """Put the records of a ranking into a store of results, and return what became of them.

    Args:
        report: what was ranked.
        to: a folder, or OWNER/NAME of a dataset repository on the Hub, which is made where it is not there.
        create_pr: propose them as a pull request.
    """
    return publish(open_place(to, create_pr=create_pr), records_of(report))


def read_records(results: str) -> list[Record]:
    """Return the records of a store of results; files that hold none are left out.

    Args:
        results: a folder, or OWNER/NAME of a dataset repository on the Hub.
    """
    return load(open_place(results)).table.records()
