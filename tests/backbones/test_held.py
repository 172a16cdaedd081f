"""Models in memory: ranked and fine-tuned like checkpoints, identified by their weights, and never changed."""

import datasets
import numpy as np
import pytest
import timm
import torch
import transformers
from torchvision import transforms

from hf_transfer_score import OptionError, rank, verify
from hf_transfer_score.backbones.held import in_memory_model
from tests.checkpoints import images, texts
from tests.runs.pool import pictures

QUICK = {"device": "cpu", "replicates": 0, "metrics": ["ncti", "linear_probe"], "progress": False, "dtype": "float32"}


class Net(torch.nn.Module):
    """A network of no library."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 6, 3, stride=2)

    def forward(self, pixels):
        return self.layer(pixels).relu()


class Two(Net):
    """A network that returns a tuple."""

    def forward(self, pixels):
        return super().forward(pixels), pixels


class Complex(torch.nn.Module):
    def forward(self, images):
        return torch.fft.fft(images.mean((2, 3)))


class Few(Net):
    """A network that returns one row for many examples."""

    def forward(self, pixels):
        return super().forward(pixels)[:1]


class Words(torch.nn.Module):
    """A bag of letters."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Embedding(128, 6)

    def forward(self, letters):
        return self.layer(letters)


def letters(batch):
    rows = [[ord(one) % 128 for one in text[:12].ljust(12)] for text in batch]
    return torch.tensor(rows)


TO_TENSOR = transforms.Compose([transforms.Resize((12, 12)), transforms.ToTensor()])


@pytest.fixture
def data():
    made, labels = pictures()
    rows = {"image": [{"bytes": one, "path": None} for one in made], "label": labels}
    return datasets.Dataset.from_dict(
        rows, features=datasets.Features(image=datasets.Image(), label=datasets.Value("int64"))
    )


def vit():
    config = transformers.ViTConfig(**images.TRANSFORMER, **images.SMALL, num_labels=3)
    return images.built(transformers.ViTForImageClassification, config, 0)


def processor():
    return transformers.ViTImageProcessor(size=images.SIZE)


def state(module):
    """Return everything of an object that a run could change."""
    hooks = [(len(one._forward_hooks), len(one._forward_pre_hooks), one.training) for one in module.modules()]
    weights = {name: (value.clone(), value.dtype, value.device) for name, value in module.state_dict().items()}
    grads = [(one.requires_grad, one.grad) for one in module.parameters()]
    config = getattr(module, "config", None)
    return hooks, weights, grads, config.to_dict() if hasattr(config, "to_dict") else None


def test_objects_of_all_libraries_are_ranked_beside_names_fine_tuned_and_stay_as_they_were(data, tmp_path):
    seen = []
    net, small, hub = Net(), timm.create_model("test_resnet", num_classes=0), vit()
    net.layer.register_forward_hook(lambda *_: seen.append(1))
    net.layer.weight.requires_grad_(False)
    small.train()
    models = [("mine", net, TO_TENSOR), small, (hub, processor()), str(images.timm_image(tmp_path / "named"))]
    before = [state(one) for one in (net, small, hub)]
    report = rank(data, models, folder=tmp_path / "kept", **QUICK)
    assert {one.status for one in report.models.values()} == {"ok"}
    assert set(report.models) == {"mine", "test_resnet.r160_in1k", "ViTForImageClassification", "named"}
    once = {"epochs": 1, "learning_rates": 1e-3, "seeds": 0, "test_samples": 9, "max_samples": 40}
    done = verify(data, models[:3], folder=tmp_path / "kept", **once, **QUICK)
    assert [one.status for one in done.models.values()] == ["ok"] * 3, done.models
    after = [state(one) for one in (net, small, hub)]
    for (hooks, weights, grads, config), (hooks2, weights2, grads2, config2) in zip(before, after, strict=True):
        assert (hooks, grads, config) == (hooks2, grads2, config2)
        assert all(
            torch.equal(value[0], weights2[name][0]) and value[1:] == weights2[name][1:]
            for name, value in weights.items()
        )
    assert seen == []


def test_features_are_those_of_the_same_checkpoint_in_a_folder(data, tmp_path):
    folder = images.timm_image(tmp_path / "folder")
    held = timm.create_model(f"local-dir:{folder}", pretrained=True)
    from_hub = images.vit(tmp_path / "vit", classes=3)
    object_of = transformers.ViTForImageClassification.from_pretrained(from_hub)
    report = rank(data, [folder, ("held", held), from_hub, ("object", object_of)], folder=tmp_path / "kept", **QUICK)
    for one, other in (("folder", "held"), ("vit", "object")):
        left, right = report.models[one]["ncti"].terms, report.models[other]["ncti"].terms
        assert left == pytest.approx(right, rel=1e-5), one


def test_a_second_call_is_cached_and_a_changed_model_is_not_mistaken(data, tmp_path):
    net = Net()

    def cached(*models):
        report = rank(data, list(models), folder=tmp_path / "kept", **QUICK)
        return [one.from_cache for one in report.models.values()]

    assert cached(("mine", net, TO_TENSOR)) == [False]
    assert cached(("mine", net, TO_TENSOR)) == [True] == cached(("called otherwise", net, TO_TENSOR))
    assert cached(("mine", net, transforms.Compose([transforms.Resize((9, 9)), transforms.ToTensor()]))) == [False]
    with torch.no_grad():
        net.layer.weight[0, 0, 0, 0] += 1e-3
    assert cached(("mine", net, TO_TENSOR)) == [False]


def test_another_forward_or_setting_of_the_same_weights_is_another_model():
    class Changed(Net):
        def forward(self, pixels):
            return self.layer(pixels).tanh()

    Changed.__name__, Changed.__qualname__ = Net.__name__, Net.__qualname__
    nets = [Net(), Net(), Changed(), Net()]
    for one in nets:
        one.load_state_dict(nets[0].state_dict())
    nets[3].scale = lambda pixels: 2 * pixels
    same, again, *others = (in_memory_model(("mine", one, TO_TENSOR)).fingerprint for one in nets)
    assert same == again and len({same, *others}) == 3


@pytest.mark.filterwarnings("ignore")  # of torch.jit, which is deprecated
def test_transforms_may_give_double_precision_and_modules_may_be_scripted(data, tmp_path):
    def to_array(image):
        return np.asarray(image.resize((12, 12))).transpose(2, 0, 1) / 255

    net = Net()
    models = [("plain", net, to_array), ("scripted", torch.jit.trace(net, torch.rand(2, 3, 12, 12)), to_array)]
    plain, scripted = rank(data, models, folder=tmp_path, **QUICK).models.values()
    assert plain.status == scripted.status == "ok", (plain.reason, scripted.reason)


def test_texts_by_a_module_and_by_transformers(tmp_path):
    rows = [f"{('bad slow', 'good warm')[row % 2]} {row}" for row in range(40)]
    data = datasets.Dataset.from_dict({"text": rows, "label": [row % 2 for row in range(40)]})
    folder = texts.write_text(tmp_path / "bert")
    model = transformers.AutoModel.from_pretrained(folder)
    models = [("letters", Words(), letters), model, (model, transformers.AutoTokenizer.from_pretrained(folder))]
    report = rank(data, models, folder=tmp_path, **QUICK)
    assert [one.status for one in report.models.values()] == ["ok"] * 3, report.models
    assert report.models["letters"].width == 6


def test_sentence_transformers_objects(tmp_path):
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(texts.write_text(tmp_path / "bert")), device="cpu")
    data = datasets.Dataset.from_dict({"text": ["good film", "bad film"] * 20, "label": [1, 0] * 20})
    assert [one.status for one in rank(data, model, folder=tmp_path, **QUICK).models.values()] == ["ok"]


def test_two_of_one_name_are_told_apart():
    net, other = Net(), Net()
    from hf_transfer_score.checkpoints.candidate import display_names, parse_candidates

    names = display_names(parse_candidates([("mine", net, TO_TENSOR), ("mine", other, TO_TENSOR)]))
    assert names == [f"mine ({in_memory_model(('mine', one, TO_TENSOR)).fingerprint[:7]})" for one in (net, other)]


def test_what_cannot_be_read_is_told(data, tmp_path):
    with pytest.raises(OptionError, match=r"A Net is a module of no known library.*\(name, module, transform\)"):
        rank(data, Net())
    with pytest.raises(OptionError, match=r"A Net is a module of no known library.*\(name, module, transform\)"):
        rank(data, [("", Net(), TO_TENSOR)])
    with pytest.raises(
        OptionError, match="A model of type int was passed; expected an id or a folder, a model of timm"
    ):
        rank(data, [3])
    adapted = vit()
    adapted.vit.added = torch.nn.Linear(2, 2)
    models = [vit(), ("adapted", adapted, processor()), ("two", Two(), TO_TENSOR), ("few", Few(), TO_TENSOR)]
    models += [("empty", Net().to("meta"), TO_TENSOR), ("complex", Complex(), TO_TENSOR)]
    failed = rank(data, models, folder=tmp_path, **QUICK).models
    assert failed["two"].reason == "is a Two that returns no tensor with one row per example"
    assert failed["empty"].reason == "is on the meta device, where weights have no values: load them"
    assert failed["complex"].reason == "is a Complex that returns complex numbers: return real ones"
    assert failed["few"].reason.startswith("is a Few that returns 1 rows for ")
    assert failed["ViTForImageClassification"].kind == "no_preprocessor"
    assert "pass it with the model, as (model, processor)" in failed["ViTForImageClassification"].reason
    assert "other layers than its class builds from its configuration" in failed["adapted"].reason
