"""How long a run will take, by what ran before."""

from hf_transfer_score.backbones.repository import Repository
from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.runs.plan import KnownPace, PlannedModel, expected_seconds, paces


def planned(name, state="on disk", kind="timm_images", parameters=10_000_000):
    checkpoint = Checkpoint(name, "0" * 40, Repository(name, {}), parameters=parameters)
    return PlannedModel(name, state, checkpoint, kind)


def kept(kind, parameters, seconds, examples=100, device="cpu"):
    made = {"seconds": seconds, "examples": examples, "device": device}
    return {"kind": kind, "own_parameters": parameters, "extraction": made}


def test_the_pace_is_that_of_the_nearest_in_size_of_the_same_kind():
    known = [
        KnownPace("timm_images", 10_000_000, 0.02),
        KnownPace("timm_images", 90_000_000, 0.5),
        KnownPace("hub_text", 10, 9.0),
    ]
    assert expected_seconds([planned("a")], 500, known) == 500 * 0.02
    assert expected_seconds([planned("a"), planned("b", parameters=20_000_000)], 500, known) == 500 * 0.06
    assert expected_seconds([planned("a"), planned("b", state="cached")], 500, known) == 500 * 0.02


def test_without_a_peer_nothing_is_said():
    assert expected_seconds([planned("a", kind="hub_audio")], 500, [KnownPace("timm_images", 10_000_000, 0.02)]) is None
    assert expected_seconds([planned("a", parameters=10**9)], 500, [KnownPace("timm_images", 10_000_000, 0.02)]) is None
    assert expected_seconds([planned("a", state="failed")], 500, []) == 0


def test_what_is_kept_tells_the_pace_of_the_device_that_ran_last():
    meta = [kept("timm_images", 100, 4.0), kept("timm_images", 100, 0.1, device="cuda"), {}, kept("hub_text", None, 1)]
    assert paces(meta) == [KnownPace("timm_images", 100, 0.04)]
