"""Records of small made-up pools."""

from dataclasses import replace

from hf_transfer_score.records.record import Record, RecordedModel, RecordedOverlap
from tests.leaderboard.made import DATASET, accuracy, face, facts, failed, metric, model, score

BIRDS = replace(DATASET, id="owner/birds", fingerprint="b" * 32, config=None)
NAMES = ("timm/alpha", "timm/beta", "org/gamma", "org/delta")
LICENSES = ("mit", "apache-2.0", "mit", "apache-2.0")
LIBRARIES = ("timm_images", "timm_images", "hub_vision", "hub_vision")
OVERLAP = RecordedOverlap(("cat", "dog", "fox"), (0.5, 0.2, 0.1))


def pool() -> list[Record]:
    """Return a board of pets with four models, the later the worse by face, and one of birds with two."""
    found = [failed("org/closed", reason="the repository is gated")]
    for place, name in enumerate(NAMES):
        of = model(name, library=LIBRARIES[place], parameters=(place + 1) * 10**7, width=512)
        told = {"facts": facts(LICENSES[place], 100), "time": f"2025-0{place + 1}-01T00:00:00+00:00"}
        found.append(score(of, "face", face(-1.0 - place, 0.9 - place / 10), spread=0.01, overlap=OVERLAP, **told))
        found.append(score(of, "logme", float(place), spread=0.01, **told))
        found.append(accuracy(name, 0.95 - place / 100))
    found += [score(model(name), "face", face(-1.0, 0.5), dataset=BIRDS) for name in NAMES[:1]]
    found += [score(model(name), "face", face(-2.0, 0.4), dataset=BIRDS) for name in NAMES[1:2]]
    return found


HOSTILE = (
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "[click](javascript:window.hacked=1) ![x](http://127.0.0.1:9/x.png)",
    "${window.hacked=1}{{constructor}}",
    "{{#each value}}${alert(1)}",
    "# title **bold** $$\\frac{1}{2}$$ `code`",
    "مرحبا/‮evil‬ 模型 🦊",
    "'\"><svg onload=window.hacked=1>",
    "x" * 300,
    "=cmd|' /C calc'!A0",
)


def hostile() -> list[Record]:
    """Return records whose texts try to be more than text."""
    data = replace(DATASET, id=HOSTILE[0], config=HOSTILE[1], split=HOSTILE[3])
    found = []
    for place, text in enumerate(HOSTILE):
        of = RecordedModel(text, commit=text, library=text, layer=text, pooling=text, parameters=10 * (place + 1))
        told = {"facts": facts(text, 1), "source": text, "warnings": (text,), "dataset": data}
        overlap = RecordedOverlap((text, HOSTILE[0], HOSTILE[1]), (0.5, 0.2, 0.1))
        found.append(score(of, "face", face(-1.0 - place, 0.5), overlap=overlap, **told))
        found.append(score(of, metric(HOSTILE[1], option=text), {HOSTILE[0]: float(place)}, **told))
        found.append(replace(failed(f"{text} failed", reason=text), dataset=data, kind=text))
        found.append(accuracy(text, 0.9 - place / 100, dataset=data, method=text))
    return found
