"""NNCF: post-training INT8 quantization of OpenVINO graphs. Its options are in `quantization.options`."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import nncf
import numpy as np
import openvino as ov
from nncf.common.logging.track_progress import track
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
from danmatte_workbench.quantization.options import QuantizationOptions, expect_known
from danmatte_workbench.runtimes.core import keep_signal_stack

nncf.set_log_level(logging.ERROR)
# NNCF's progress bars would mix with a run's own lines, and no setting disables them.
track.__init__ = partialmethod(track.__init__, disable=True)
DEFAULTS = QuantizationOptions()

# A function from a compiled graph and frame numbers to one figure per frame; higher is better.
Judge = Callable[[ov.CompiledModel, Sequence[int]], Sequence[float]]


def quantize(model: ov.Model, pictures: Iterable[np.ndarray], options: QuantizationOptions = DEFAULTS) -> ov.Model:
    """Quantize to INT8 after training, calibrated on ``pictures`` in the form that the graph takes.

    Raises InputError if NNCF fails, or if an ignored name, pattern or type isn't in the graph.
    """
    pictures = list(pictures)
    with keep_signal_stack(), _translate_errors():
        return nncf.quantize(
            model,
            nncf.Dataset(pictures),
            advanced_parameters=_to_advanced_parameters(options),
            **_to_arguments(model, options, len(pictures)),
        )


def quantize_with_control(
    model: ov.Model, pictures: Iterable[np.ndarray], options: QuantizationOptions, *, judge: Judge, frames: int
) -> ov.Model:
    """Quantize, then revert layers to floating point until the mean of ``judge`` loses at most ``max_drop``.

    NNCF calls ``judge`` for the original and the quantized graph, for graphs without one group of quantized layers each
    (on the ranking frames), and for each reverted graph (on all ``frames``).
    """

    def validate(compiled: ov.CompiledModel, numbers: Iterable[int]) -> tuple[float, list[float]]:
        values = [float(value) for value in judge(compiled, list(numbers))]
        return float(np.mean(values)), values

    pictures = list(pictures)
    with keep_signal_stack(), _translate_errors():
        return nncf.quantize_with_accuracy_control(
            model,
            nncf.Dataset(pictures),
            # NNCF passes validation items on unchanged, so frame numbers are enough; the judge has the frames.
            nncf.Dataset(range(frames)),
            validate,
            max_drop=options.max_drop / 100,
            drop_type=nncf.DropType.ABSOLUTE,
            advanced_quantization_parameters=_to_advanced_parameters(options),
            advanced_accuracy_restorer_parameters=AdvancedAccuracyRestorerParameters(
                # One worker, because each needs a compiled graph, and figures are stored one at a time.
                ranking_subset_size=options.ranking_frames,
                num_ranking_workers=1,
            ),
            **_to_arguments(model, options, len(pictures)),
        )


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (nncf.ValidationError, nncf.ParameterNotSupportedError, nncf.InternalError, RuntimeError) as error:
        raise InputError(f"NNCF can't quantize this graph: {error}") from error


def _to_arguments(model: ov.Model, options: QuantizationOptions, frames: int) -> dict[str, Any]:
    """Return the arguments common to both functions of NNCF."""
    ignored = None
    if options.ignored_names or options.ignored_patterns or options.ignored_types:
        # NNCF's own error lists all unknown names in one line, without the nearest word.
        nodes = model.get_ordered_ops()
        names = {node.get_friendly_name() for node in nodes}
        expect_known("ignored_names", options.ignored_names, names)
        expect_known("ignored_types", options.ignored_types, {node.get_type_name() for node in nodes})
        for pattern in options.ignored_patterns:
            if not any(re.match(pattern, name) for name in names):
                raise InputError(f"quantize: ignored_patterns: {pattern!r} matches no node, such as {sorted(names)[0]}")
        ignored = nncf.IgnoredScope(
            names=list(options.ignored_names),
            patterns=list(options.ignored_patterns),
            types=list(options.ignored_types),
        )
    return {
        "preset": nncf.QuantizationPreset(options.preset),
        "subset_size": frames,
        "fast_bias_correction": options.bias_correction != "accurate",
        "ignored_scope": ignored,
    }


def _to_advanced_parameters(options: QuantizationOptions) -> AdvancedQuantizationParameters:
    def to_collector(words: str) -> StatisticsCollectorParameters:
        if not words:
            return StatisticsCollectorParameters(quantile_outlier_prob=options.outliers)
        statistic, _, aggregator = words.partition("/")
        return StatisticsCollectorParameters(
            statistics_type=StatisticsType(statistic),
            aggregator_type=AggregatorType(aggregator),
            quantile_outlier_prob=options.outliers,
        )

    def to_range(low: str, high: str) -> RangeEstimatorParameters:
        return RangeEstimatorParameters(min=to_collector(low), max=to_collector(high))

    return AdvancedQuantizationParameters(
        overflow_fix=OverflowFix(options.overflow_fix),
        disable_channel_alignment=not options.channel_alignment,
        disable_bias_correction=options.bias_correction == "none",
        activations_range_estimator_params=to_range(options.activations_min, options.activations_max),
        weights_range_estimator_params=to_range(options.weights_min, options.weights_max),
    )


def read_versions() -> dict[str, str]:
    """Return the library's version, by name."""
    return {"nncf": nncf.__version__}
