"""What one person ranked is what the next one reads."""

from __future__ import annotations

from hf_transfer_score import read_records
from hf_transfer_score.records.record import identity
from tests.runs.reports import Made, report_of


def test_records_of_a_ranking_are_read_as_they_were_published(tmp_path):
    report = report_of([Made("owner/good", 0.5), Made("owner/bad", 3.0), Made("owner/closed", kind="gated")])
    done = report.publish(str(tmp_path / "results"))
    expected = {identity(one) for one in report.records()}
    assert done.written == len(expected)
    found = read_records(str(tmp_path / "results"))
    assert {identity(one) for one in found} == expected
    assert {one.model.id for one in found} == {"owner/good", "owner/bad", "owner/closed"}
    report.publish(str(tmp_path / "results"))
    assert {identity(one) for one in read_records(str(tmp_path / "results"))} == expected
