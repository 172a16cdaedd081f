"""A repository on the Hub as a place, over HTTP to a local Hub, by the real client."""

import subprocess

import pytest
from huggingface_hub.errors import EntryNotFoundError

from hf_transfer_score.errors import HubError, OptionError, StoreError
from hf_transfer_score.hub.failures import is_conflict
from hf_transfer_score.hub.repository import CommitRetries, stamps_of
from hf_transfer_score.integrity import blob_id
from hf_transfer_score.records.place import FolderPlace, HubPlace, open_place
from tests.hub.server import LocalHub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of the client's own making

NAME = "owner/results"
HASTY = CommitRetries(first_wait=0.02, longest_wait=0.3)


@pytest.fixture
def shared(hub):
    hub.users = {"hf_owner": "owner", "hf_other": "other", "hf_reader": "reader"}
    hub.members = {"owner": {"other"}}
    hub.add(NAME, {".gitattributes": "", "a/b/one.json": "1", "a/c/two.json": "2"}, kind="dataset")
    return hub


def place(hub: LocalHub, token: str | bool = "hf_owner", name: str = NAME, **options: object) -> HubPlace:
    return HubPlace(name, token=token, endpoint=hub.endpoint, retries=HASTY, **options)


def commits(hub: LocalHub, name: str = NAME) -> list[str]:
    repository = hub.repository(name, "dataset")
    return [commit.title for commit in repository.history(repository.head)]


def held(hub: LocalHub, name: str = NAME) -> dict[str, bytes]:
    files = hub.repository(name, "dataset").head.files
    return {path: file.content.read_bytes() for path, file in files.items()}


def asked(hub: LocalHub, since: int) -> list[str]:
    return [f"{one.method} {one.path.removeprefix(f'/api/datasets/{NAME}')}" for one in hub.requests[since:]]


class TestReading:
    def test_the_state_is_a_commit_and_the_stamps_are_those_of_git(self, shared, tmp_path):
        view = place(shared).view()
        assert view.version == place(shared).version() == shared.repository(NAME, "dataset").head.name
        for path, content in {"a/b/one.json": b"1", "a/c/two.json": b"2"}.items():
            (tmp_path / "file").write_bytes(content)
            git = subprocess.run(["git", "hash-object", tmp_path / "file"], capture_output=True, text=True, check=True)
            assert view.files[path] == git.stdout.strip() == blob_id(content)
        assert view.read(["a/b/one.json", "a/c/two.json", "none.json"]) == {"a/b/one.json": b"1", "a/c/two.json": b"2"}

    def test_a_large_file_has_the_stamp_of_its_pointer(self, shared):
        content = bytes(range(256))
        place(shared).update(lambda view: {"x.parquet": content}, title="x")
        view = place(shared).view()
        assert view.files["x.parquet"] in stamps_of(content) and view.files["x.parquet"] != blob_id(content)
        assert view.read(["x.parquet"]) == {"x.parquet": content}

    def test_a_view_stays_what_it_was(self, shared):
        view = place(shared).view()
        place(shared).update(lambda _: {"a/b/one.json": b"new", "a/c/two.json": None}, title="x")
        assert set(view.files) == {".gitattributes", "a/b/one.json", "a/c/two.json"}
        assert view.read(["a/b/one.json", "a/c/two.json"]) == {"a/b/one.json": b"1", "a/c/two.json": b"2"}

    def test_folders_that_did_not_change_are_not_listed_again(self, shared):
        reader, writer = place(shared), place(shared)
        _ = reader.view().files
        since = len(shared.requests)
        assert len(reader.view().files) == 3
        tree = f"/tree/{reader.version()}"
        assert asked(shared, since)[:2] == ["GET ", f"GET {tree}"]
        writer.update(lambda _: {"a/b/three.json": b"3"}, title="x")
        since = len(shared.requests)
        assert reader.view().files == place(shared).view().files
        tree = f"/tree/{reader.version()}"
        assert asked(shared, since)[:4] == ["GET ", f"GET {tree}", f"GET {tree}/a", f"GET {tree}/a/b"]

    def test_many_changes_are_listed_at_once(self, shared):
        reader = place(shared)
        _ = reader.view().files
        files = {f"d{number}/x/{number}.json": b"{}" for number in range(40)}
        place(shared).update(lambda _: files, title="x")
        shared.page_size = 7
        since = len(shared.requests)
        assert set(files) < set(reader.view().files)
        assert len(asked(shared, since)) < 50
        assert reader.view().files == place(shared).view().files

    def test_a_busy_hub_is_asked_again(self, shared):
        shared.fault(f"/api/datasets/{NAME}$", 503)
        shared.fault("one.json", 500, times=2)
        shared.fault("two.json", "cut")
        view = place(shared).view()
        assert view.read(["a/b/one.json", "a/c/two.json"]) == {"a/b/one.json": b"1", "a/c/two.json": b"2"}

    def test_a_repository_that_is_not_there_has_no_files(self, shared):
        nothing = place(shared, name="owner/none")
        assert nothing.version() is None
        assert (nothing.view().version, nothing.view().files, nothing.view().read(["x"])) == ("", {}, {})


class TestErrors:
    def test_a_gated_one_says_where_to_ask(self, shared):
        shared.repository(NAME, "dataset").gated = "auto"
        where = f"is gated: ask for access at {shared.endpoint}/datasets/{NAME}"
        for token, more in {"hf_reader": ".", False: ", and log in with `hf auth login` or set HF_TOKEN."}.items():
            with pytest.raises(HubError) as caught:
                place(shared, token).view().read(["a/b/one.json"])
            assert str(caught.value) == f"{NAME} {where}{more}"

    def test_a_private_one_is_not_there_for_others(self, shared):
        shared.repository(NAME, "dataset").private = True
        assert place(shared, False).version() is None and place(shared).version() is not None

    def test_writing_without_a_token_asks_nobody(self, shared):
        with pytest.raises(HubError, match=r"Writing to owner/results on the Hub needs a token: log in with `hf auth"):
            place(shared, False).update(lambda _: {"x": b""}, title="x")
        assert shared.requests == []

    def test_a_token_that_may_not_write_is_told_of_pull_requests(self, shared):
        with pytest.raises(HubError, match=r"may not write to owner/results .*or propose the change with `create_pr`"):
            place(shared, "hf_reader").update(lambda _: {"x": b""}, title="x")
        with pytest.raises(HubError, match=r"This token may not write to owner/new"):
            place(shared, "hf_reader", "owner/new").update(lambda _: {"x": b""}, title="x")

    def test_a_token_nobody_knows(self, shared):
        with pytest.raises(HubError, match="does not know the token for owner/results") as caught:
            place(shared, "hf_unknown").update(lambda _: {"x": b""}, title="x")
        assert "hf_unknown" not in str(caught.value) and "hf_unknown" not in repr(place(shared, "hf_unknown"))

    def test_a_proposal_to_what_is_not_there(self, shared):
        with pytest.raises(HubError, match="There is no dataset owner/none on the Hub that this token may see"):
            place(shared, name="owner/none", create_pr=True).update(lambda _: {"x": b""}, title="x")
        with pytest.raises(HubError, match="There is no Space owner/none on the Hub that this token may see"):
            place(shared, name="owner/none", create_pr=True, repo_type="space").update(lambda _: {"x": b""}, title="x")

    def test_a_hub_that_nobody_finds(self):
        nowhere = HubPlace(NAME, token="hf_owner", endpoint="http://127.0.0.1:9")
        with pytest.raises(HubError, match=r"cannot be reached: nobody answers at http://127\.0\.0\.1:9"):
            nowhere.version()

    def test_offline_is_said(self, shared, run_client, hub_environment):
        code = (
            "from hf_transfer_score.records.place import open_place\n"
            f"try:\n    open_place('{NAME}').view()\nexcept Exception as error:\n"
            "    answer = [type(error).__name__, str(error)]"
        )
        kind, text = run_client(code, hub_environment | {"HF_HUB_OFFLINE": "1"})
        assert kind == "HubError" and "HF_HUB_OFFLINE forbids" in text and shared.requests == []

    def test_names(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "there" / "folder").mkdir(parents=True)
        (tmp_path / "file").touch()
        assert isinstance(open_place("there/folder"), FolderPlace) and isinstance(open_place("not/there"), HubPlace)
        assert isinstance(open_place("./not/there"), FolderPlace) and isinstance(open_place("new"), FolderPlace)
        assert open_place("hf://datasets/there/folder").name == "there/folder"
        for text in ("", "hf://models/a/b", "hf://datasets/a", "https://huggingface.co/datasets/a/b", "file"):
            with pytest.raises(OptionError, match="OWNER/NAME"):
                open_place(text)
        with pytest.raises(OptionError, match=r"`create_pr` is for repositories on the Hub, but \./x is a folder"):
            open_place("./x", create_pr=True)


class TestWriting:
    def test_a_change_is_one_commit_on_what_was_looked_at(self, shared):
        before = commits(shared)
        version = place(shared).update(lambda view: {"new.json": b"{}", "a/b/one.json": None}, title="Both")
        assert commits(shared) == ["Both", *before] and version == place(shared).version()
        assert held(shared) == {".gitattributes": b"", "a/c/two.json": b"2", "new.json": b"{}"}

    def test_what_is_there_makes_no_commit(self, shared):
        large = bytes(1000)
        version = place(shared).update(lambda _: {"x.parquet": large}, title="x")
        before, since = commits(shared), len(shared.requests)
        wanted = {"x.parquet": large, "a/b/one.json": b"1", "none.json": None}
        assert place(shared).update(lambda _: wanted, title="y") == version
        assert commits(shared) == before and not [one for one in asked(shared, since) if one.startswith("POST")]

    @pytest.mark.parametrize("private", [False, True])
    def test_a_repository_is_made_when_needed(self, shared, private):
        version = place(shared, name="owner/new", private=private).update(lambda _: {"x.json": b"x"}, title="x")
        assert shared.repository("owner/new", "dataset").private is private
        assert held(shared, "owner/new")["x.json"] == b"x" and version

    def test_a_change_of_somebody_else_is_met_and_kept(self, shared):
        attempts = []

        def change(view):
            attempts.append((view.attempt, view.read(["count"]).get("count", b"0")))
            if len(attempts) <= 2:
                place(shared, "hf_other").update(lambda _: {"count": b"%d" % len(attempts)}, title="theirs")
            return {"count": view.read(["count"]).get("count", b"0") + b"+", "mine": b""}

        place(shared).update(change, title="mine")
        assert attempts == [(0, b"0"), (1, b"1"), (2, b"2")]
        assert held(shared)["count"] == b"2+" and commits(shared)[:3] == ["mine", "theirs", "theirs"]

    def test_a_file_that_somebody_else_removed_is_a_conflict(self, shared):
        views = []

        def change(view):
            views.append(view)
            if len(views) == 1:
                place(shared, "hf_other").update(lambda _: {"a/b/one.json": None}, title="theirs")
            return {"a/b/one.json": None, "x": b"x"}

        place(shared).update(change, title="mine")
        assert len(views) == 2 and "x" in held(shared) and "a/b/one.json" not in held(shared)

    def test_so_is_a_hub_that_complains_about_that_file_first(self, shared):
        with pytest.raises(EntryNotFoundError) as caught:
            place(shared).api.delete_file("none", NAME, repo_type="dataset")
        assert is_conflict(caught.value)

    def test_conflicts_without_end_are_given_up(self, shared):
        shared.fault("/commit/", 412, times=None)
        impatient = HubPlace(
            NAME, token="hf_owner", endpoint=shared.endpoint, retries=CommitRetries(3, first_wait=0.01)
        )
        with pytest.raises(StoreError, match="was changed by others before each of 3 attempts to write to it"):
            impatient.update(lambda _: {"x": b"x"}, title="x")
        assert len(shared.asked("/commit/")) == 3

    @pytest.mark.parametrize("status", [500, 502, 503, 429])
    def test_a_commit_that_failed_is_made_again(self, shared, status):
        fault = shared.fault("/commit/", status, times=2, retry_after=0)
        place(shared).update(lambda _: {"x": b"x"}, title="x")
        assert fault.hits == 2 and held(shared)["x"] == b"x" and commits(shared)[:1] == ["x"]

    def test_a_hub_that_asks_to_wait_for_long_is_not_waited_for(self, shared):
        shared.fault("/commit/", 429, times=None, retry_after=3000)
        with pytest.raises(HubError, match="asks to wait before owner/results is used again"):
            place(shared).update(lambda _: {"x": b"x"}, title="x")
        assert len(shared.asked("/commit/")) == 1

    def test_a_hub_that_counts_requests_gets_its_pause(self, shared, monkeypatch):
        monkeypatch.setenv("HF_TRANSFER_SCORE_HUB_SECONDS", "0.5")  # a pause of 6 s is no failure then, one of 7 is
        question = shared.fault(f"/api/datasets/{NAME}$", 429, times=1, retry_after=1)
        commit = shared.fault("/commit/", 429, times=1, retry_after=1)
        slow = HubPlace(NAME, token="hf_owner", endpoint=shared.endpoint, retries=CommitRetries(seconds=0.5))
        slow.update(lambda _: {"x": b"x"}, title="x")
        assert question.hits == commit.hits == 1 and held(shared)["x"] == b"x"
        shared.fault(f"/api/datasets/{NAME}$", 429, times=None, retry_after=7)
        with pytest.raises(HubError, match="too many requests"):
            slow.version()

    def test_a_lost_answer_does_nothing_twice(self, shared):
        attempts = []
        fault = shared.fault("/commit/", "cut", method="POST")

        def change(view):
            attempts.append(view.attempt)
            return {"x": b"x"}

        version = place(shared).update(change, title="once")
        assert fault.hits == 1 and attempts == [0, 0] and commits(shared).count("once") == 1
        assert version == place(shared).version() and held(shared)["x"] == b"x"

    def test_a_pull_request_leaves_main_alone(self, shared):
        url = place(shared, "hf_reader", create_pr=True).update(lambda _: {"x": b"x"}, title="Please")
        assert url == f"{shared.endpoint}/datasets/{NAME}/discussions/1" and "x" not in held(shared)
        repository = shared.repository(NAME, "dataset")
        assert "x" in repository.find("refs/pr/1").files and repository.discussions[0].title == "Please"

    def test_open_pull_requests_are_found_by_their_title(self, shared):
        url = place(shared, "hf_reader", create_pr=True).update(lambda _: {"x": b"x"}, title="Please")
        assert list(place(shared).pull_requests("Please")) == [("refs/pr/1", url)]
        assert list(place(shared).pull_requests("Others")) == []
        shared.fault("/discussions", 403)
        with pytest.raises(HubError, match=r"owner/results is closed to this token"):
            list(place(shared).pull_requests("Please"))

    def test_a_pull_request_whose_answer_is_lost_is_not_opened_twice(self, shared):
        shared.fault("/commit/", "cut", method="POST")
        with pytest.raises(
            HubError, match=r"was lost: before you try again, check at .*/datasets/owner/results/discuss"
        ):
            place(shared, "hf_reader", create_pr=True).update(lambda _: {"x": b"x"}, title="Please")
        assert len(shared.repository(NAME, "dataset").discussions) == 1
