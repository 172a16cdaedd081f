"""How datasets are opened."""

import os

import pytest

from hf_transfer_score.sampling.load import load_sample
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.sampling.sources import listed_once
from tests.sampling.made import picture


def test_a_folder_is_listed_once_with_however_many_patterns_files_are_looked_for(tmp_path, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    for number in range(6):
        path = tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    seen = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: seen.append(str(path)) or scandir(path))
    listed = LocalFileSystem.ls
    sample = load_sample(str(tmp_path / "pets"), SampleOptions())
    assert len(sample.labels) == 6 and LocalFileSystem.ls is listed
    folder = str(tmp_path / "pets" / "cat")
    assert 1 <= seen.count(folder) <= 4


def test_listing_is_as_it_was_after_an_error():
    from fsspec.implementations.local import LocalFileSystem

    listed = LocalFileSystem.ls
    with pytest.raises(ZeroDivisionError), listed_once():
        assert LocalFileSystem.ls is not listed
        raise ZeroDivisionError
    assert LocalFileSystem.ls is listed
