"""The names that users may type for a model."""

import pytest

from hf_transfer_score.checkpoints.candidate import (
    Candidate,
    display_names,
    parse_candidate,
    parse_candidates,
    read_candidates,
)
from hf_transfer_score.errors import OptionError


@pytest.mark.parametrize(
    ("text", "name", "revision"),
    [
        ("owner/name", "owner/name", None),
        ("gpt2", "gpt2", None),
        ("owner/name@v1.0", "owner/name", "v1.0"),
        ("hf-hub:timm/resnet18.a1_in1k", "timm/resnet18.a1_in1k", None),
        ("hf_hub:timm/resnet18.a1_in1k@main", "timm/resnet18.a1_in1k", "main"),
        ("https://huggingface.co/owner/name", "owner/name", None),
        (" owner/name/ ", "owner/name", None),
    ],
)
def test_ids_of_the_hub(text, name, revision):
    assert parse_candidate(text) == Candidate(name, revision)


def test_what_is_here_is_meant_and_what_looks_like_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    assert parse_candidate("./mine").folder == tmp_path / "mine"
    assert parse_candidate("local-dir:mine").folder == tmp_path / "mine"
    assert parse_candidate("mine/deep").folder == tmp_path / "mine" / "deep", "whatever is in it"
    assert parse_candidate("mine/deeper").folder is None
    (tmp_path / "mine" / "deep@v1").mkdir()
    assert parse_candidate("mine/deep@v1").folder == tmp_path / "mine" / "deep@v1"
    assert parse_candidate("mine/deep@v2") == Candidate("mine/deep", "v2"), "a revision is of the Hub"
    assert parse_candidate("hf-hub:mine/deep").folder is None
    (tmp_path / "model.safetensors").touch()
    assert parse_candidate("model.safetensors").folder == tmp_path / "model.safetensors"
    assert parse_candidate("/no/such").folder is not None, "the run says that it is missing; the others go on"


def test_each_candidate_is_asked_for_once_in_order(tmp_path, monkeypatch):
    assert [one.name for one in parse_candidates(["b", "a", "hf-hub:b", "c"])] == ["b", "a", "c"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    assert [one.name for one in parse_candidates(["./deep", "deep", "deep/", tmp_path / "deep"])] == ["./deep"]


def test_folders_are_shown_by_their_last_part_unless_two_share_it(tmp_path):
    folders = [tmp_path / "x" / "model", tmp_path / "y" / "model", tmp_path / "other"]
    candidates = [parse_candidate(str(folder)) for folder in folders] + [parse_candidate("owner/name@v1")]
    assert display_names(candidates) == [str(folders[0]), str(folders[1]), "other", "owner/name@v1"]


def test_a_file_of_models_may_have_comments_blank_lines_and_columns(tmp_path):
    path = tmp_path / "models.csv"
    path.write_text('model,why\n# a comment\nowner/a, small\n\n\'"\n"owner/b"  # quoted\n'.replace("'\"\n", ""))
    assert read_candidates(path) == ["owner/a", "owner/b"]


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_a_file_without_models_is_refused(tmp_path, content):
    path = tmp_path / "models.txt"
    path.write_text(content)
    with pytest.raises(OptionError, match="names no models: expected one per line"):
        read_candidates(path)
    with pytest.raises(OptionError, match="cannot be read as a list of models"):
        read_candidates(tmp_path / "absent.txt")


def test_an_empty_name_is_refused():
    with pytest.raises(OptionError, match="name is empty"):
        parse_candidate(" ")


def test_a_list_of_models_that_cannot_be_read_says_why(tmp_path):
    (tmp_path / "models.txt").write_bytes(b"\xff\xfeo")
    for name, why in (("models.txt", "it is not text in UTF-8"), ("none.txt", "No such file or directory")):
        with pytest.raises(OptionError, match=rf"{name} cannot be read as a list of models: {why}\.$"):
            read_candidates(tmp_path / name)
