"""Forms of files, whole, broken, and cut at every byte."""

import pytest

from hf_transfer_score.errors import InputError
from hf_transfer_score.uploads import limits
from hf_transfer_score.uploads.ledger import Form, FormError, Ledger, safe_name

KIND = "multipart/form-data; boundary=b"


def part(content, name="files", filename="a.npz", more=""):
    file = f'; filename="{filename}"' if filename is not None else ""
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{file}\r\n{more}\r\n'
    return head.encode() + content + b"\r\n"


def read(tmp_path, *pieces, kind=KIND):
    with Form(kind, Ledger(tmp_path), "visitor") as form:
        for piece in pieces:
            form.write(piece)
        return form.finish()


def test_files_arrive_complete_in_parts_of_any_size(tmp_path):
    content = bytes(range(256)) * 3 + b"\r\n--c\r\n"
    whole = part(content) + part(b"", filename="empty.npz") + b"--b--\r\n"
    for size in (1, 7, len(whole)):
        paths = read(tmp_path, *[whole[start : start + size] for start in range(0, len(whole), size)])
        assert [path.read_bytes() for path in paths] == [content, b""]
        assert [path.name for path in paths] == ["a.npz", "empty.npz"]


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([part(b"x" * 100, filename=None)], "Only files"),
        ([part(b"x", name="other")], "Only files"),
        ([part(b"x"), part(b"y", filename=None), b"--b--"], "Only files"),
        ([part(b"x")], "incomplete"),
        ([b"--b--\r\n"], "incomplete|cannot be read"),
        ([b"no form at all"], "cannot be read"),
        ([part(b"x", more="X: " + "y" * 9000 + "\r\n")], "too long|cannot be read"),
        ([b"--b\r\n" + b"y" * 100_000], "too long|cannot be read"),
    ],
)
def test_invalid_forms_leave_nothing(tmp_path, pieces, message):
    with pytest.raises(FormError, match=message):
        read(tmp_path, *pieces)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data", f"multipart/form-data; boundary={'b' * 300}"]
)
def test_another_kind_is_refused(tmp_path, kind):
    with pytest.raises(FormError, match="Expected a form with files"):
        read(tmp_path, kind=kind)


def test_large_files_are_refused_while_they_arrive(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "FILE_BYTES", 1000)
    with pytest.raises(InputError, match="A file may have"), Form(KIND, Ledger(tmp_path), "visitor") as form:
        form.write(part(b"x" * 900)[:-2])
        assert form.uploads[0].size > 800
        form.write(b"x" * 200)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_after_a_full_disk_at_the_end(tmp_path):
    with pytest.raises(OSError, match="No space"), Form(KIND, Ledger(tmp_path), "visitor") as form:
        form.write(part(b"x" * 10)[:-2])
        form._file.close()
        form._file = FullDisk()
    assert list(tmp_path.iterdir()) == []


class FullDisk:
    def close(self):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "name", ["../../x.npz", "/etc/x.npz", "..\\x.npz", "x.npz\x00", "x\u202e.npz", "x" * 5000 + ".npz"]
)
def test_names_stay_within_their_folder(tmp_path, name):
    found = safe_name(name)
    assert found.endswith(".npz") and len(found.encode()) < 255 and found.isprintable()
    assert (tmp_path / found).parent == tmp_path
    (tmp_path / found).touch()
