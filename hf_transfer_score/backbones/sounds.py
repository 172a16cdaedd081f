"""From waveforms to what sound models take, by the feature extractor that lies beside a checkpoint."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.budgets import check_asked
from hf_transfer_score.backbones.loading import from_folder, read_json
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Waveform

WAVES = (
    "wav2vec2",
    "hubert",
    "wavlm",
    "unispeech",
    "unispeech-sat",
    "sew",
    "sew-d",
    "data2vec-audio",
    "wav2vec2-conformer",
)
"""Architectures that read the wave itself, by model_type."""

WHISPER, SPECTROGRAM, FILTERBANK = "whisper", "audio-spectrogram-transformer", "wav2vec2-bert"
MODEL_TYPES = (*WAVES, WHISPER, SPECTROGRAM, FILTERBANK)
NO_EXTRACTOR = "has no feature extractor among its files (preprocessor_config.json), so sounds cannot be prepared"
EXTRACTORS = ("preprocessor_config.json", "processor_config.json")

MOST_SECONDS = 30.0
LEAST_SECONDS = 0.1  # silence fills shorter sounds up, so that a spectrogram has frames
LARGEST_FACTOR = 1000  # of a resampling; odd rates are rounded to a fraction of such numbers
WINDOW, HOP = 400, 160  # samples of a frame of the spectrogram transformers' filter bank, and between frames

Samples = NDArray[np.float32]


class Sound(NamedTuple):
    """What a model takes of one sound, time first for those of any length, and how much of its time is real."""

    values: Samples
    real: int


def resample(samples: Samples, rate: int, target: int) -> Samples:
    """Return samples (T,) at another rate, by a polyphase filter."""
    if rate == target or not len(samples):
        return samples
    from scipy.signal import resample_poly

    ratio = Fraction(target, rate)
    if max(ratio.numerator, ratio.denominator) > LARGEST_FACTOR:
        ratio = ratio.limit_denominator(LARGEST_FACTOR)
    return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), dtype=np.float32)


def load_extractor(folder: Path, options: BackboneOptions) -> Any:
    """Return the feature extractor in a folder, or raise CheckpointError."""
    if not any((folder / name).exists() for name in EXTRACTORS):
        raise CheckpointError("no_preprocessor", NO_EXTRACTOR)
    from transformers import AutoFeatureExtractor

    for name in EXTRACTORS:
        if (folder / name).exists():
            check_asked(name, read_json(folder, name))
    try:
        return from_folder(AutoFeatureExtractor, folder, options)
    except CheckpointError as error:
        if error.kind != "error":
            raise
        raise CheckpointError("no_preprocessor", f"has no feature extractor that can be loaded: {error}") from error


class SoundReader:
    """Turns waveforms into items; changes no state after it is made, so threads may share it.

    Attributes:
        rate: samples of a second that the model takes.
        fixed: whether all items have one size, whatever the length of the sound.
    """

    def __init__(self, extractor: Any, config: Any) -> None:
        self._extractor, self._type = extractor, config.model_type
        self.rate = int(extractor.sampling_rate)
        self.fixed = config.model_type in (WHISPER, SPECTROGRAM)
        self._least = round(self.rate * LEAST_SECONDS)
        if config.model_type in WAVES:  # as many as make the first frames: one, or as many as it squeezes
            self._least = int(getattr(config, "squeeze_factor", 1))
            for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
                self._least = (self._least - 1) * stride + kernel
            if self._least > MOST_SECONDS * self.rate:
                raise CheckpointError(
                    "too_large", f"has a config.json that asks for {self._least:,} samples to make one frame of"
                )

    def read(self, sound: Waveform) -> Sound:
        """Return the item of a sound."""
        first = np.asarray(sound.samples, dtype=np.float32)[: int(MOST_SECONDS * sound.rate)]
        samples = resample(first, sound.rate, self.rate)
        if self._type in WAVES:
            if len(samples):
                samples = self._extract(samples, "input_values", padding=False)
            samples = self._filled(np.asarray(samples, dtype=np.float32))  # behind the normalisation: zeros are silence
            return Sound(samples, len(samples))
        filled = self._filled(samples)
        if self._type == WHISPER:
            values = self._extract(filled, "input_features", padding="max_length")
            frames = -(-len(samples) // self._extractor.hop_length)
            return Sound(values, int(np.clip(frames, 1, values.shape[1])))
        if self._type == SPECTROGRAM:
            values = self._extract(filled, "input_values")
            return Sound(values, min(1 + (len(filled) - WINDOW) // HOP, len(values)))
        values = self._extract(filled, "input_features", padding=False, pad_to_multiple_of=None)
        return Sound(values, len(values))

    def _filled(self, samples: Samples) -> Samples:
        return np.pad(samples, (0, max(0, self._least - len(samples))))

    def _extract(self, samples: Samples, name: str, **settings: Any) -> Samples:
        found = self._extractor(samples, sampling_rate=self.rate, return_tensors="np", **settings)
        return np.asarray(found[name][0], dtype=np.float32)
