"""From waveforms to the inputs of audio models, by the checkpoint's own feature extractor."""

from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.backbones.loading import check_preprocessors, from_folder
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.tasks import Waveform

WAVES = (
    *("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat"),
    *("sew", "sew-d", "data2vec-audio", "wav2vec2-conformer"),
)
"""Architectures that read the waveform itself, by model_type."""

WHISPER, SPECTROGRAM, FILTERBANK = "whisper", "audio-spectrogram-transformer", "wav2vec2-bert"
MODEL_TYPES = (*WAVES, WHISPER, SPECTROGRAM, FILTERBANK)
NO_EXTRACTOR = "has no feature extractor among its files (preprocessor_config.json), so sounds cannot be prepared"

MOST_SECONDS = 30.0
LEAST_SECONDS = 0.1  # shorter sounds are padded with silence, so that a spectrogram has frames
LARGEST_FACTOR = 1000  # of a resampling; the ratio of odd rates is rounded to a fraction of such numbers
WINDOW, HOP = 400, 160  # samples of a frame of the spectrogram transformers' filter bank, and between frames

Samples = NDArray[np.float32]


class Sound(NamedTuple):
    """The input for one sound, with time first where sounds have any length, and its length without padding."""

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
    if not check_preprocessors(folder):
        raise CheckpointError("no_preprocessor", NO_EXTRACTOR)
    from transformers import AutoFeatureExtractor

    try:
        return from_folder(AutoFeatureExtractor, folder, options)
    except CheckpointError as error:
        if error.kind != "error":
            raise
        raise CheckpointError("no_preprocessor", f"has no feature extractor that can be loaded: {error}") from error


class SoundReader:
    """Turns waveforms into items; it has no state that changes, so threads may share it."""

    def __init__(self, extractor: Any, config: Any) -> None:
        self._extractor, self._type = extractor, config.model_type
        self.rate = int(extractor.sampling_rate)
        self.fixed = config.model_type in (WHISPER, SPECTROGRAM)  # all items have one size
        self._least = round(self.rate * LEAST_SECONDS)
        if config.model_type in WAVES:  # enough samples for the first frame, or for as many frames as it squeezes
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
            samples = self._filled(np.asarray(samples, dtype=np.float32))  # after normalisation zeros are silence
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
