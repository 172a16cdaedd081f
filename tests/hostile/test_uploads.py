"""Hostile requests to a running Space are refused within limits of time and memory, while others are served."""

import json
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from hf_transfer_score.uploads import limits
from tests.hostile.limited import MEGABYTE, resident_bytes
from tests.leaderboard.browser.records import pool
from tests.leaderboard.made import write_records
from tests.runs.warm import until
from tests.uploads.made import file_data, forged_parquet, running_space, save_bfloat16, save_npz

APP = "import sys; from hf_transfer_score.leaderboard.starting import run_space; run_space(results=sys.argv[1])"
SECONDS, MOST = 60, 2048 * MEGABYTE


@dataclass
class Space:
    """A leaderboard that runs as on a Space."""

    client: httpx.Client
    pid: int
    folder: Path

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]

    def upload(self, *paths):
        return self.client.post("/gradio_api/upload", files=[("files", (one.name, one.read_bytes())) for one in paths])

    def score(self, *paths):
        sent = {"data": [[file_data(path) for path in paths], ["ncti"]]}
        asked = self.client.post("/gradio_api/call/score_features", json=sent)
        if asked.status_code != 200:
            return asked
        return self.client.get(f"/gradio_api/call/score_features/{asked.json()['event_id']}")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    folder, records = tmp_path_factory.mktemp("space"), tmp_path_factory.mktemp("records")
    write_records(records, pool()[:6])
    command, kept = [sys.executable, "-c", APP, records], folder / "kept"
    with running_space(command, folder / "home", GRADIO_TEMP_DIR=str(kept)) as (client, pid):
        yield Space(client, pid, kept)


class Watched:
    """The peak memory of a process and its children during a `with` block."""

    def __init__(self, pid):
        self.pid, self.most, self.done = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.done.wait(0.02):
            self.most = max(self.most, resident_bytes(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def test_a_forged_footer_is_refused_while_others_are_served(space, tmp_path):
    bomb = tmp_path / "bomb.parquet"
    bomb.write_bytes(forged_parquet())
    paths = space.upload(bomb, save_npz(tmp_path / "a.npz"), save_bfloat16(tmp_path / "b.safetensors")).json()
    waited, start = [], time.monotonic()
    with Watched(space.pid) as watched, ThreadPoolExecutor(1) as pool:
        scored = pool.submit(space.score, *paths)
        while not scored.done():
            asked = time.monotonic()
            assert httpx.get(space.client.base_url, timeout=SECONDS).status_code == 200
            waited.append(time.monotonic() - asked)
            time.sleep(0.4)
    text = scored.result().text
    assert "event: complete" in text and "Scored 2 models on 90 rows" in text
    assert "bomb cannot be scored. It has 0 MB, 1831 MB unpacked; this Space takes 200 MB" in text
    assert time.monotonic() - start < SECONDS and watched.most < MOST
    assert waited and max(waited) < 10
    assert space.files() == []
    assert "no longer there" in space.score(*paths).text


def test_too_large_or_too_many_uploads_are_refused_and_leave_nothing(space):
    before, piece = resident_bytes(space.pid), bytes(MEGABYTE)
    kind = {"content-type": "multipart/form-data; boundary=b"}

    def form(*more, size):
        yield b'--b\r\nContent-Disposition: form-data; name="files"' + b"".join(more) + b"\r\n\r\n"
        for _ in range(size):
            yield piece
        yield b"\r\n--b--\r\n"

    with Watched(space.pid) as watched:
        large = form(b'; filename="a.npz"', size=limits.FILE_BYTES // MEGABYTE + 1)
        found = space.client.post("/gradio_api/upload", content=large, headers=kind)
        assert (found.status_code, found.text[:31]) == (413, "A file may have at most 200 MB.")
        found = space.client.post("/gradio_api/upload", content=form(size=300), headers=kind)
        assert (found.status_code, found.text) == (400, "Only files are taken here.")
        many = [("files", ("a.npz", b"x"))] * (limits.VISITOR_FILES + 1)
        found = space.client.post("/gradio_api/upload", files=many)
        assert found.status_code == 413 and found.text.startswith("Too many files")
        found = space.client.post("/gradio_api/queue/join", content=piece * 20)
        assert found.status_code == 413 and "262,144 bytes" in found.text
    assert space.files() == []
    assert watched.most - before < 100 * MEGABYTE


def test_an_upload_that_is_broken_off_leaves_nothing(space):
    address = (space.client.base_url.host, space.client.base_url.port)
    with socket.create_connection(address) as sender:
        head = b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
        sender.sendall(head + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n")
        part = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.npz"\r\n\r\n'
        sender.sendall(part + bytes(1000))
        until(space.files)
    until(lambda: not space.files())


def test_a_url_instead_of_a_file_is_not_requested(space):
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0.5)
        found = space.score(f"http://127.0.0.1:{trap.getsockname()[1]}/a.npz")
        assert (found.status_code, "not uploaded here" in found.text) == (400, True)
        found = space.client.get(f"/gradio_api/file=http://127.0.0.1:{trap.getsockname()[1]}/a.npz")
        assert found.status_code == 404
        with pytest.raises(TimeoutError):
            trap.accept()
    assert space.score("/etc/passwd").status_code == 400


def test_files_go_when_their_page_is_closed(space, tmp_path):
    mine, other = (space.upload(save_npz(tmp_path / name)).json()[0] for name in ("mine.npz", "other.npz"))
    config = space.client.get("/config").json()
    held = next(one for one in config["dependencies"] if any(event == "upload" for _, event in one["targets"]))
    with space.client.stream("GET", "/gradio_api/heartbeat/page") as page:
        alive = page.iter_text()
        assert "ALIVE" in next(alive)
        sent = {"data": [[file_data(mine)]], "fn_index": held["id"], "session_hash": "page"}
        assert space.client.post("/gradio_api/queue/join", json=sent).status_code == 200
        with space.client.stream("GET", "/gradio_api/queue/data?session_hash=page") as answer:
            told = [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]
        assert any(one["msg"] == "process_completed" and one["success"] for one in told)
        assert Path(mine).exists()
    until(lambda: not Path(mine).exists())
    assert [str(path) for path in space.files()] == [other]
    assert space.score(other).status_code == 200
    assert space.files() == []
