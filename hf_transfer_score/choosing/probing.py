"""Probes instead of fine-tuning: the race when only a classifier on frozen features will be trained in the end."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from hf_transfer_score.choosing.race import Arm
from hf_transfer_score.choosing.trainer import Trainer, packed
from hf_transfer_score.home import whole

if TYPE_CHECKING:
    from hf_transfer_score.finetune.built import BuiltNetwork
    from hf_transfer_score.finetune.states import KeptTraining


class Prober(Trainer):
    """Fits a probe on all rows except the held-out ones, and keeps its weights; a fit counts as one epoch."""

    def _leg(self, arm: Arm, passes: int) -> dict[str, Any]:
        from safetensors.torch import save_file

        from hf_transfer_score.finetune.fine_tune import fit_probe
        from hf_transfer_score.finetune.loop import features
        from hf_transfer_score.finetune.states import KEY

        begin, builder = time.perf_counter(), self._builder(arm.name)
        classifier, rows = builder.bare(), builder.rows
        read = features(classifier, rows.everything.encoded, rows.everything.rows, builder.machine)
        classifier.add_head(read, rows.classes)
        values, parts = read.double().cpu().numpy(), (rows.fitted.rows, rows.held.rows)
        held = values[rows.held.rows], rows.held.codes
        found = fit_probe(values, rows.everything.codes, parts, held, tuple(self.recipe.penalties))
        tensors = {name: value.float().contiguous() for name, value in found.tensors().items()}
        about = {
            "layer": None,
            "scores": [[found.validation, 0.0]],
            "best": [found.validation, 0.0],
            "penalty": found.penalty,
            "ended": True,
        }
        path = self.journal.state(self._key(arm))
        with whole(path, sum(value.nbytes for value in tensors.values())) as aside:
            save_file(tensors, aside, metadata={KEY: json.dumps(about)})
        return {
            "accuracies": [found.validation],
            "right": packed(found.right),
            "rows": len(found.right),
            "ended": True,
            "passes": 1,
            "seconds": time.perf_counter() - begin,
        }

    def best_state(self, arm: Arm) -> tuple[BuiltNetwork, KeptTraining]:
        """Return the unchanged network with the probe as its head."""
        import torch

        from hf_transfer_score.finetune.built import BuiltNetwork
        from hf_transfer_score.finetune.classifier import Trained
        from hf_transfer_score.finetune.states import kept_training

        kept, builder = kept_training(self.journal.state(self._key(arm))), self._builder(arm.name)
        assert kept is not None
        classifier = builder.bare()
        behind = builder.behind(classifier)
        classifier.add_head_at(kept.tensors["centre"], kept.tensors["scale"], builder.rows.classes)
        with torch.no_grad():
            classifier.head.weight.copy_(kept.tensors["weight"])
            classifier.head.bias.copy_(kept.tensors["bias"])
        trained = Trained(classifier, {}, None)
        return BuiltNetwork(classifier, trained, trained.count + behind, None), kept

    def _tested(self, arm: Arm) -> dict[str, Any]:
        _, kept = self.best_state(arm)
        about = {"learning_rate": None, "penalty": kept.about["penalty"], "epochs": 0}
        return {**super()._tested(arm), **about}
