"""Records published to a repository on a local Hub: each there once, the newest stays, and the table is true."""

import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import are_progress_bars_disabled
from pyarrow import parquet

from hf_transfer_score.records import publishing
from hf_transfer_score.records.exchange import merge, validate
from hf_transfer_score.records.place import FolderPlace, MemoryPlace
from hf_transfer_score.records.publishing import Published, publish, results_card
from hf_transfer_score.records.record import Record, identity, record_path
from hf_transfer_score.records.store import CHUNK, SNAPSHOT, cache_file, load
from tests.hub.server import LocalHub
from tests.records.test_hub import NAME, commits, place
from tests.records.test_hub import held as files
from tests.records.test_record import FAILED, METRIC, MODEL, OK, RUN, UNMEASURED
from tests.records.test_record import SKIPPED as SKIPPED_THERE

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client's own making

SKIPPED = replace(SKIPPED_THERE, metric=replace(METRIC, name="leep"))
HOSTILE = (
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "a/../../b",
    "ü/«名»",
    "x" * 300,
    "-/.",
    "con/nul",
    "a/b\n",
)


def made(name: str, fairness: float = 0.5, time: str = RUN.time) -> Record:
    terms = {"fairness": fairness, "collapse": -1.0}
    return replace(OK, model=replace(MODEL, id=name), run=replace(RUN, time=time), terms=terms, interval={})


def at(record: Record) -> str:
    return str(record_path(record))


@pytest.fixture
def shared(hub):
    hub.users = {"hf_owner": "owner", "hf_reader": "reader"}
    return hub


def stored(hub: LocalHub) -> dict[str, Record]:
    return {path: Record.from_json(text) for path, text in files(hub).items() if path.startswith("records/")}


def rows(hub: LocalHub) -> list[dict[str, object]]:
    return parquet.read_table(io.BytesIO(files(hub)[SNAPSHOT])).to_pylist()


def put(hub: LocalHub, path: str, content: bytes) -> None:
    """Write a file as somebody else would, with whatever client."""
    target = hub.repository(NAME, "dataset").folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


class TestPublish:
    def test_records_table_and_card_come_in_one_commit(self, shared):
        done = publish(place(shared), [OK, FAILED, SKIPPED])
        assert done == Published(3, 0, 0, place(shared).version())
        assert stored(shared) == {at(one): one for one in (OK, FAILED, SKIPPED)}
        assert commits(shared) == ["Add 3 records", "initial commit"]
        assert {SNAPSHOT, "README.md"} < set(files(shared))
        found = shared.repository(NAME, "dataset").head.files
        assert {row["path"]: row["stamp"] for row in rows(shared)} == {
            path: found[path].blob for path in stored(shared)
        }

    def test_a_few_records_beside_very_many_leave_the_table_to_others(self, shared, monkeypatch):
        monkeypatch.setattr(publishing, "ALWAYS", 1)
        publish(place(shared), [made("o/one"), made("o/two")])
        assert len(rows(shared)) == 2
        monkeypatch.setattr(publishing, "TURNS", 0)
        publish(place(shared), [made("o/three")])
        assert len(rows(shared)) == 2 and len(stored(shared)) == len(load(place(shared)).table) == 3
        monkeypatch.setattr(publishing, "TURNS", 10**9)
        publish(place(shared), [made("o/four")])
        assert len(rows(shared)) == 4

    def test_the_second_time_there_is_nothing_to_do(self, shared):
        first = publish(place(shared), [OK, FAILED])
        sent = len(shared.asked("", "POST"))
        assert publish(place(shared), [OK, FAILED]) == replace(first, written=0, unchanged=2)
        assert len(shared.asked("", "POST")) == sent and len(commits(shared)) == 2

    def test_what_was_made_later_stays_wherever_it_comes_from(self, shared):
        old, new = made("a/b", 0.1, "2025-03-01T10:00:00+00:00"), made("a/b", 0.2, "2025-03-01T10:30:00+01:00")
        assert identity(old) == identity(new) and new.run.time > old.run.time  # as text; one hour shifts the order
        publish(place(shared), [new])
        assert publish(place(shared), [old]).written == 1 and stored(shared) == {at(old): old}
        done = publish(place(shared), [new])
        assert (done.written, done.unchanged, done.older) == (0, 0, 1) and stored(shared) == {at(old): old}
        later = made("a/b", 0.3, "2025-03-02T00:00:00+00:00")
        assert publish(place(shared), [later, old]).written == 1 and stored(shared) == {at(old): later}
        assert [json.loads(row["terms"])["fairness"] for row in rows(shared)] == [0.3]

    def test_a_failure_never_replaces_a_measurement_and_a_measurement_always_a_failure(self, shared):
        measured = replace(UNMEASURED, status="ok", kind=None, reason=None, terms={"accuracy": 0.5})
        failed_later = replace(UNMEASURED, run=replace(RUN, time="2025-03-01T00:00:00+00:00"))
        assert identity(measured) == identity(failed_later)
        assert publish(place(shared), [failed_later]).written == 1
        assert publish(place(shared), [measured]).written == 1
        assert publish(place(shared), [failed_later]).older == 1
        assert stored(shared) == {at(measured): measured}
        assert publish(MemoryPlace(), [measured, failed_later]).written == 1
        memory = MemoryPlace()
        publish(memory, [measured, failed_later])
        assert [*memory.view().read([at(measured)]).values()] == [measured.to_json().encode()]

    def test_an_equal_record_in_other_words_is_unchanged(self, shared):
        publish(place(shared), [OK])
        put(shared, at(OK), json.dumps(json.loads(OK.to_json())).encode())
        assert publish(place(shared), [OK]).unchanged == 1

    @pytest.mark.parametrize("bad", [b"", b"{", b"\xff\xfe", b"[]", b'{"schema_version": 99}'])
    def test_an_unreadable_file_is_replaced(self, shared, bad):
        publish(place(shared), [OK, FAILED])
        put(shared, at(OK), bad)
        assert publish(place(shared), [OK]).written == 1 and stored(shared)[at(OK)] == OK
        assert len(rows(shared)) == 2

    def test_a_card_that_is_there_stays(self, shared):
        shared.add(NAME, {"README.md": "mine"}, kind="dataset")
        publish(place(shared), [OK])
        assert files(shared)["README.md"] == b"mine"

    def test_a_trial_writes_nothing(self, shared):
        publish(place(shared), [OK])
        before = len(shared.asked("", "POST"))
        assert publish(place(shared), [OK, FAILED], dry_run=True) == Published(1, 1, 0, "")
        assert len(shared.asked("", "POST")) == before

    def test_many_records_come_in_several_commits_and_one_table(self, shared, monkeypatch):
        monkeypatch.setattr(publishing, "BATCH", 4)
        many = [made(f"a/{number}") for number in range(10)]
        assert publish(place(shared), iter(many)).written == 10
        assert commits(shared)[:-1] == ["Add 2 records", "Add 4 records", "Add 4 records"]
        assert len(rows(shared)) == 10 and validate(place(shared)).problems == ()

    def test_a_pull_request_holds_records_only(self, shared):
        publish(place(shared), [OK])
        done = publish(place(shared, "hf_reader", create_pr=True), [OK, FAILED, SKIPPED])
        assert done == Published(2, 1, 0, f"{shared.endpoint}/datasets/{NAME}/discussions/1")
        repository = shared.repository(NAME, "dataset")
        main, proposed = repository.head.files, repository.find("refs/pr/1").files
        assert {path for path in proposed if main.get(path) != proposed[path]} == {at(FAILED), at(SKIPPED)}

    def test_names_lead_nowhere_else(self, shared, tmp_path):
        hostile = [made(name) for name in HOSTILE]
        assert publish(place(shared), hostile).written == len(HOSTILE)
        assert sorted(stored(shared).values(), key=str) == sorted(hostile, key=str)
        merge([place(shared)], FolderPlace(tmp_path / "in"))
        outside = [path for path in tmp_path.rglob("*.json") if not path.is_relative_to(tmp_path / "in" / "records")]
        assert [path for path in outside if not path.is_relative_to(shared.root)] == []
        assert {one.model.id for one in load(FolderPlace(tmp_path / "in")).table.records()} == set(HOSTILE)

    def test_a_folder_and_memory_take_records_without_a_table(self, tmp_path):
        for target in (FolderPlace(tmp_path / "in"), MemoryPlace()):
            assert publish(target, [OK, FAILED]).written == 2 and publish(target, [OK]).unchanged == 1
            assert set(target.view().files) == {at(OK), at(FAILED)}


class TestTogether:
    def test_a_conflict_leaves_the_table_for_the_next_one(self, shared):
        publish(place(shared), [OK])
        shared.fault("/commit/", 412)
        assert publish(place(shared), [FAILED]).written == 1
        assert len(stored(shared)) == 2 and len(rows(shared)) == 1
        assert len(load(place(shared)).table) == 2  # readers compare the table with the files
        publish(place(shared), [FAILED])
        assert len(rows(shared)) == 2

    def test_eight_publishers_lose_nothing(self, shared):
        publish(place(shared), [OK])

        def share(publisher: int) -> int:
            mine = [made(f"team-{publisher}/{number}") for number in range(5)]
            return publish(place(shared), [*mine, made("all/the-same", publisher, f"2025-01-0{publisher + 1}")]).written

        with ThreadPoolExecutor(8) as pool:
            written = list(pool.map(share, range(8)))
        assert len(stored(shared)) == 1 + 40 + 1 and all(count >= 5 for count in written)
        assert next(one for one in stored(shared).values() if one.model.id == "all/the-same").terms["fairness"] == 7
        repository = shared.repository(NAME, "dataset")
        history = repository.history(repository.head)
        assert len(history) == len(repository.commits) == 8 + 2  # each on the one before
        merge([], place(shared))
        assert {row["path"] for row in rows(shared)} == set(stored(shared))
        assert validate(place(shared)).problems == ()

    def test_a_lost_answer_publishes_once(self, shared):
        publish(place(shared), [OK])
        shared.fault("/commit/", "cut", method="POST")
        done = publish(place(shared), [FAILED])
        assert done.version_or_url == place(shared).version() and len(commits(shared)) == 3
        assert set(stored(shared)) == {at(OK), at(FAILED)} and len(rows(shared)) == 2


class TestTable:
    @pytest.mark.parametrize("bad", [b"", b"PAR1", b"not parquet" * 100, "other"])
    def test_one_that_cannot_be_read_is_made_anew(self, shared, bad):
        publish(place(shared), [OK])
        if bad == "other":
            import pyarrow

            file = io.BytesIO()
            parquet.write_table(pyarrow.table({"path": [at(OK)]}), file)
            bad = file.getvalue()
        put(shared, SNAPSHOT, bad)
        assert publish(place(shared), [FAILED]).written == 1
        assert {row["path"] for row in rows(shared)} == {at(OK), at(FAILED)}

    def test_bad_records_are_left_out(self, shared):
        publish(place(shared), [OK, FAILED])
        put(shared, at(OK), b"{")
        put(shared, "records/a/b/c.json", b"{}")
        publish(place(shared), [SKIPPED])
        assert {row["path"] for row in rows(shared)} == {at(FAILED), at(SKIPPED)}

    def test_few_files_without_a_record_are_read_each_time(self, shared, monkeypatch):
        monkeypatch.setattr(publishing, "CHUNK", 2)
        monkeypatch.setattr(publishing, "MOST_BAD", 3)
        publish(place(shared), [OK])
        bad = {f"records/a/b/{number}.json": b"{}" for number in range(9)}
        place(shared).update(lambda view: {**bad, at(FAILED): FAILED.to_json().encode()}, title="x")
        before = len(shared.requests)
        publish(place(shared), [SKIPPED])
        assert sum("/resolve/" in one.path and "/a/b/" in one.path for one in shared.requests[before:]) == 4
        assert {row["path"] for row in rows(shared)} == {at(OK), at(SKIPPED)}
        merge([], place(shared))
        assert {row["path"] for row in rows(shared)} == {at(OK), at(SKIPPED), at(FAILED)}

    def test_the_client_shows_no_bars(self, shared, monkeypatch):
        quiet, real = [], HfApi.create_commit
        seen = lambda *given, **more: quiet.append(are_progress_bars_disabled()) or real(*given, **more)  # noqa: E731
        monkeypatch.setattr(HfApi, "create_commit", seen)
        publish(place(shared), [OK])
        assert quiet == [True]

    def test_only_what_changed_is_read(self, shared):
        publish(place(shared), [made(f"a/{number}") for number in range(5)])
        put(shared, at(FAILED), FAILED.to_json().encode())
        before = len(shared.requests)
        publish(place(shared), [SKIPPED])
        read = [one.path.split("/resolve/")[1] for one in shared.requests[before:] if "/resolve/" in one.path]
        assert [path.split("/", 1)[1] for path in read] == [SNAPSHOT, at(FAILED)]
        assert len(rows(shared)) == 7

    def test_records_that_are_gone_leave_the_table(self, shared):
        publish(place(shared), [OK, FAILED])
        place(shared).update(lambda view: {at(OK): None}, title="x")
        merge([], place(shared))
        assert [row["path"] for row in rows(shared)] == [at(FAILED)]

    def test_rows_that_lie_are_found_and_put_right(self, shared):
        publish(place(shared), [made("a/b", 0.1), made("a/c", 0.2)])
        honest = files(shared)[SNAPSHOT]
        table = parquet.read_table(io.BytesIO(honest))
        lies = [text.replace("0.1", "0.9") for text in table.column("terms").to_pylist()]
        file = io.BytesIO()
        parquet.write_table(table.set_column(table.column_names.index("terms"), "terms", [lies]), file)
        put(shared, SNAPSHOT, file.getvalue())
        [problem] = validate(place(shared)).problems
        assert problem.path == SNAPSHOT and "1 of 2 differ" in problem.reason
        merge([], place(shared))
        assert validate(place(shared)).problems == ()
        assert parquet.read_table(io.BytesIO(files(shared)[SNAPSHOT])).equals(parquet.read_table(io.BytesIO(honest)))


def test_after_many_records_a_folder_is_read_without_opening_their_files(tmp_path):
    place = FolderPlace(tmp_path)
    publish(place, [replace(OK, dataset=replace(OK.dataset, id=f"owner/{number}")) for number in range(CHUNK + 1)])
    found = load(place, cache=cache_file(place))
    assert (found.read, len(found.table)) == (0, CHUNK + 1)


def test_the_card_leads_the_dataset_library_to_the_table(shared, run_client, hub_environment):
    records = [made(f"a/{number}", number) for number in range(3)]
    publish(place(shared), records)
    code = f"""
from datasets import load_dataset
rows = load_dataset("{NAME}", split="train")
answer = [sorted(rows["model_id"]), rows.column_names[:4], len(rows)]
"""
    ids, names, count = run_client(code, hub_environment)
    assert ids == ["a/0", "a/1", "a/2"] and names == ["path", "stamp", "identity", "status"] and count == 3


def test_the_card_is_one_for_the_real_client():
    from huggingface_hub import DatasetCard

    card = DatasetCard(results_card("owner/results"))
    assert card.data.configs == [{"config_name": "default", "data_files": [{"split": "train", "path": SNAPSHOT}]}]
    assert card.data.license == "apache-2.0" and "publish ./results --to owner/results --create-pr" in card.text
