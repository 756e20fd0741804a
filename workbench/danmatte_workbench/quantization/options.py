"""The options of quantization; their names are NNCF's."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError

PRESETS = ("performance", "mixed")
BIAS_CORRECTIONS = ("fast", "accurate", "none")
OVERFLOW_FIXES = ("first_layer_only", "enable", "disable")
STATISTICS = ("min", "max", "abs_max", "quantile", "abs_quantile", "mean", "raw")
AGGREGATORS = ("mean", "max", "min", "median", "mean_no_outliers", "median_no_outliers", "histogram")
RANGES = ("activations_min", "activations_max", "weights_min", "weights_max")


@dataclass(frozen=True)
class QuantizationOptions:
    """How weights and activations are quantized to 8 bits.

    preset: ``performance`` quantizes activations symmetrically, ``mixed`` asymmetrically if values may be negative.
    bias_correction: ``accurate`` measures every layer's own error, and takes many times longer than ``fast``.
    overflow_fix: half the range for weights, of the first layer or of all, for CPUs without VNNI: on these, sums of
        products of 8-bit numbers saturate in 16 bits.
    activations_min … weights_max: ``statistic/aggregator``, such as ``quantile/mean``, for each end of a range; empty
        leaves it to NNCF.
    outliers: the probability that quantiles, and aggregators without outliers, exclude.
    ignored_…: nodes that stay in floating point: by name, by regular expression from the name's start, or by type.
    frames: the maximum number of frames for calibration.
    max_drop: points that masks may lose compared with the graph before. The layers that lose most are reverted to
        floating point until this is met. 0 disables the check.
    checked_frames, ranking_frames: the maximum number of frames for that check, and how many of them rank the layers.

    Raises InputError, which names the field, what was expected and the nearest word, for any other value.
    """

    preset: Literal["performance", "mixed"] = "performance"
    bias_correction: Literal["fast", "accurate", "none"] = "fast"
    channel_alignment: bool = False
    overflow_fix: Literal["first_layer_only", "enable", "disable"] = "first_layer_only"
    activations_min: str = ""
    activations_max: str = ""
    weights_min: str = ""
    weights_max: str = ""
    outliers: float = 1e-4
    ignored_names: tuple[str, ...] = ()
    ignored_patterns: tuple[str, ...] = ()
    ignored_types: tuple[str, ...] = ()
    frames: int = 64
    max_drop: float = 0.0
    checked_frames: int = 64
    ranking_frames: int = 16

    def __post_init__(self) -> None:
        _expect_word("preset", self.preset, PRESETS)
        _expect_word("bias_correction", self.bias_correction, BIAS_CORRECTIONS)
        _expect_word("overflow_fix", self.overflow_fix, OVERFLOW_FIXES)
        for name in RANGES:
            if (value := getattr(self, name)) == "":
                continue
            statistic, slash, aggregator = str(value).partition("/")
            if not slash:
                example = "statistic/aggregator, such as quantile/mean"
                raise InputError(f"quantize: {name}: expected {example}, found {value!r}")
            _expect_word(f"{name}: statistic", statistic, STATISTICS)
            _expect_word(f"{name}: aggregator", aggregator, AGGREGATORS)
        self._check_ignored()
        for name in ("frames", "checked_frames", "ranking_frames"):
            if type(count := getattr(self, name)) is not int or count < 1:
                raise InputError(f"quantize: {name}: expected a whole number above 0, found {count!r}")
        if type(self.channel_alignment) is not bool:
            raise InputError(f"quantize: channel_alignment: expected true or false, found {self.channel_alignment!r}")
        _expect_number("outliers", self.outliers, 0.5)
        _expect_number("max_drop", self.max_drop, 100)

    def _check_ignored(self) -> None:
        for name in ("ignored_names", "ignored_patterns", "ignored_types"):
            texts = getattr(self, name)
            if not isinstance(texts, tuple) or not all(isinstance(word, str) for word in texts):
                raise InputError(f"quantize: {name}: expected a list of texts, found {texts!r}")
        for pattern in self.ignored_patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                reason = f"{pattern!r} isn't a regular expression: {error}"
                raise InputError(f"quantize: ignored_patterns: {reason}") from error


def expect_known(what: str, words: Collection[str], known: Collection[str]) -> None:
    """Raise InputError, with the nearest word, if the graph doesn't have one of the words."""
    for word in words:
        if word not in known:
            hint = did_you_mean(word, sorted(known), cutoff=0.4)
            raise InputError(f"quantize: {what}: the graph has no {word}{hint}")


def _expect_word(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        hint = did_you_mean(str(value), known, listed=False)
        expected = f"{', '.join(known[:-1])} or {known[-1]}"
        raise InputError(f"quantize: {name}: expected {expected}, found {value!r}{hint}")


def _expect_number(name: str, value: object, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise InputError(f"quantize: {name}: expected a number from 0 to {most:g}, found {value!r}")
