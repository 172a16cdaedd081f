"""Audio models of transformers: wav2vec 2.0 and related models, Whisper's encoder, spectrogram transformers.

Sounds are resampled to the rate of the checkpoint's feature extractor, and the first 30 seconds are read (less where
the feature extractor of Whisper or a spectrogram transformer takes less). `pooling="auto"` is the mean over the frames
of real sound, never of padding; for a spectrogram transformer the mean of its two class tokens, which its head reads.
"""

from pathlib import Path

from hf_transfer_score.backbones.base import Backbone, BackboneKind, BackboneOptions
from hf_transfer_score.backbones.hub_text import check_loadable, other_files
from hf_transfer_score.backbones.loading import read_json
from hf_transfer_score.backbones.repository import PREPROCESSORS, Repository
from hf_transfer_score.backbones.sounds import MODEL_TYPES, NO_EXTRACTOR
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Task


def claims(repository: Repository) -> bool:
    """Whether a repository holds an audio model that can be read here."""
    return repository.config.get("model_type") in MODEL_TYPES


def files(repository: Repository, options: BackboneOptions) -> list[str]:
    """Return the files to download: weights, descriptions and the feature extractor."""
    check_loadable(repository.config, options)
    if not any(name in repository for name in PREPROCESSORS):
        raise CheckpointError("no_preprocessor", NO_EXTRACTOR)
    return [*repository.weights(allow_pickle=options.allow_pickle), *other_files(repository, options)]


def load(folder: Path, task: Task, options: BackboneOptions) -> Backbone:
    """Return a backbone from a folder."""
    from hf_transfer_score.backbones.audio_backbone import load_audio_backbone

    check_loadable(read_json(folder), options)
    return load_audio_backbone(folder, options)


KIND = BackboneKind("hub_audio", "audio", claims, files, load, library="transformers")
