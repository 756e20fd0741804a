"""The only importer of NNCF in the workbench."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import nncf
import numpy as np
import openvino as ov
from nncf.quantization.advanced_parameters import (
    AdvancedAccuracyRestorerParameters,
    AdvancedQuantizationParameters,
    OverflowFix,
)
from nncf.quantization.range_estimator import (
    AggregatorType,
    RangeEstimatorParameters,
    StatisticsCollectorParameters,
    StatisticsType,
)

from danmatte_workbench.errors import InputError
from danmatte_workbench.quantization.options import Choices, expect_known

nncf.set_log_level(logging.ERROR)
DEFAULTS = Choices()

# A compiled graph and numbers of frames to one figure a frame, more is better.
Judge = Callable[[ov.CompiledModel, Sequence[int]], Sequence[float]]


def quantize(model: ov.Model, pictures: Iterable[np.ndarray], choices: Choices = DEFAULTS) -> ov.Model:
    """Post-training INT8 quantization, calibrated on ``pictures`` as the graph takes them."""
    pictures = list(pictures)
    with _translated():
        return nncf.quantize(
            model,
            nncf.Dataset(pictures),
            advanced_parameters=_advanced(choices),
            **_arguments(model, choices, len(pictures)),
        )


def quantize_within(
    model: ov.Model, pictures: Iterable[np.ndarray], choices: Choices, *, judge: Judge, frames: int
) -> ov.Model:
    """The same, layers taken back to floating point until the mean of ``judge`` over ``frames`` lost ``max_drop``.

    ``judge`` is asked for the graph before, the quantized one, each without a group of layers, and each step back.
    """

    def validate(compiled: ov.CompiledModel, numbers: Iterable[int]) -> tuple[float, list[float]]:
        values = [float(value) for value in judge(compiled, list(numbers))]
        return float(np.mean(values)), values

    pictures = list(pictures)
    with _translated():
        return nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(pictures),
            nncf.Dataset(range(frames)),
            validate,
            max_drop=choices.max_drop / 100,
            drop_type=nncf.DropType.ABSOLUTE,
            advanced_quantization_parameters=_advanced(choices),
            advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(
                ranking_subset_size=choices.ranking_frames, num_ranking_workers=1
            ),
            **_arguments(model, choices, len(pictures)),
        )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (nncf.ValidationError, nncf.ParameterNotSupportedError, nncf.InternalError, RuntimeError) as error:
        raise InputError(f"NNCF can't quantize this graph: {error}") from error


def _arguments(model: ov.Model, choices: Choices, frames: int) -> dict[str, Any]:
    """What both ways of quantizing take."""
    return {
        "preset": nncf.QuantizationPreset(choices.preset),
        "subset_size": frames,
        "fast_bias_correction": choices.bias_correction != "accurate",
        "ignored_scope": _ignored(model, choices),
    }


def _advanced(choices: Choices) -> AdvancedQuantizationParameters:
    return AdvancedQuantizationParameters(
        overflow_fix=OverflowFix(choices.overflow_fix),
        disable_channel_alignment=not choices.channel_alignment,
        disable_bias_correction=choices.bias_correction == "none",
        activations_range_estimator_params=_range(choices.activations_min, choices.activations_max, choices),
        weights_range_estimator_params=_range(choices.weights_min, choices.weights_max, choices),
    )


def _range(low: str, high: str, choices: Choices) -> RangeEstimatorParameters:
    return RangeEstimatorParameters(min=_end(low, choices.outliers), max=_end(high, choices.outliers))


def _end(words: str, outliers: float) -> StatisticsCollectorParameters:
    if not words:
        return StatisticsCollectorParameters(quantile_outlier_prob=outliers)
    statistic, _, aggregator = words.partition("/")
    return StatisticsCollectorParameters(
        statistics_type=StatisticsType(statistic),
        aggregator_type=AggregatorType(aggregator),
        quantile_outlier_prob=outliers,
    )


def _ignored(model: ov.Model, choices: Choices) -> nncf.IgnoredScope | None:
    """The scope, all of it found in the graph. Raises InputError with the nearest word for what isn't there."""
    if not (choices.ignored_names or choices.ignored_patterns or choices.ignored_types):
        return None
    nodes = model.get_ordered_ops()
    names = {node.get_friendly_name() for node in nodes}
    expect_known("ignored_names", choices.ignored_names, names)
    expect_known("ignored_types", choices.ignored_types, {node.get_type_name() for node in nodes})
    for pattern in choices.ignored_patterns:
        if not any(re.match(pattern, name) for name in names):
            raise InputError(f"quantize: ignored_patterns: {pattern!r} matches no node, such as {sorted(names)[0]}")
    return nncf.IgnoredScope(
        names=list(choices.ignored_names),
        patterns=list(choices.ignored_patterns),
        types=list(choices.ignored_types),
    )


def versions() -> dict[str, str]:
    """The library's version, by name."""
    return {"nncf": nncf.__version__}
