"""Options of quantization: each wrong one causes an error with what was expected and the nearest word."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.errors import InputError
from danmatte_workbench.quantization.options import (
    AGGREGATORS,
    RANGES,
    STATISTICS,
    QuantizationOptions,
    expect_known,
)


def test_the_defaults_are_allowed() -> None:
    assert QuantizationOptions().max_drop == 0


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("preset", "mixd", r"^quantize: preset: expected performance or mixed, found 'mixd'; did you mean 'mixed'\?$"),
        ("preset", "", r"^quantize: preset: expected performance or mixed, found ''$"),
        ("preset", None, r"^quantize: preset: expected performance or mixed, found None$"),
        ("bias_correction", "acurate", r"expected fast, accurate or none, found 'acurate'; did you mean 'accurate'\?$"),
        ("overflow_fix", "first_layer", r"did you mean 'first_layer_only'\?$"),
        ("channel_alignment", 1, r"^quantize: channel_alignment: expected true or false, found 1$"),
        ("channel_alignment", "true", r"expected true or false, found 'true'$"),
        ("frames", 0, r"^quantize: frames: expected a whole number above 0, found 0$"),
        ("frames", 2.0, r"^quantize: frames: expected a whole number above 0, found 2\.0$"),
        ("frames", True, r"found True$"),
        ("checked_frames", -1, r"^quantize: checked_frames: expected a whole number above 0, found -1$"),
        ("ranking_frames", "9", r"^quantize: ranking_frames: expected a whole number above 0, found '9'$"),
        ("outliers", 0.6, r"^quantize: outliers: expected a number from 0 to 0\.5, found 0\.6$"),
        ("outliers", -1e-9, r"expected a number from 0 to 0\.5"),
        ("outliers", True, r"expected a number from 0 to 0\.5, found True$"),
        ("max_drop", 101, r"^quantize: max_drop: expected a number from 0 to 100, found 101$"),
        ("max_drop", float("nan"), r"^quantize: max_drop: expected a number from 0 to 100, found nan$"),
        ("max_drop", "0.3", r"found '0\.3'$"),
        ("ignored_names", ["a"], r"^quantize: ignored_names: expected a list of texts, found \['a'\]$"),
        ("ignored_types", (1,), r"^quantize: ignored_types: expected a list of texts, found \(1,\)$"),
        ("ignored_patterns", "a", r"^quantize: ignored_patterns: expected a list of texts, found 'a'$"),
        ("ignored_patterns", ("(",), r"^quantize: ignored_patterns: '\(' isn't a regular expression: "),
    ],
)
def test_an_invalid_option_is_reported(field: str, value: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        QuantizationOptions(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", RANGES)
@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("quantile", "expected statistic/aggregator, such as quantile/mean, found 'quantile'"),
        (7, "expected statistic/aggregator, such as quantile/mean, found 7"),
        ("quantil/mean", r"statistic: expected min, max, .*found 'quantil'; did you mean 'quantile'\?"),
        ("min/maen", r"aggregator: expected mean, max, .*found 'maen'; did you mean 'mean'\?"),
        ("/mean", "statistic: expected"),
        ("min/", "aggregator: expected"),
        ("min/mean/max", "aggregator: expected"),
    ],
)
def test_an_invalid_range_is_reported_with_its_field_and_part(field: str, value: object, says: str) -> None:
    with pytest.raises(InputError, match=rf"^quantize: {field}: {says}"):
        QuantizationOptions(**{field: value})  # type: ignore[arg-type]


@given(st.sampled_from(RANGES), st.sampled_from(STATISTICS), st.sampled_from(AGGREGATORS))
def test_every_statistic_can_be_combined_with_every_aggregator(field: str, statistic: str, aggregator: str) -> None:
    words = f"{statistic}/{aggregator}"
    assert getattr(QuantizationOptions(**{field: words}), field) == words  # type: ignore[arg-type]


def test_options_cannot_be_changed_and_changed_copies_are_checked() -> None:
    options = QuantizationOptions(preset="mixed")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.preset = "performance"  # type: ignore[misc]
    with pytest.raises(InputError, match="max_drop"):
        dataclasses.replace(options, max_drop=-1)


def test_a_word_of_the_graph_is_accepted() -> None:
    expect_known("ignored_types", ["Add"], {"Add", "Convolution"})


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("Convolutoin", r"^quantize: ignored_types: the graph has no Convolutoin; did you mean 'Convolution'\?$"),
        ("zzz", r"^quantize: ignored_types: the graph has no zzz; known: Add, Convolution$"),
    ],
)
def test_a_word_that_the_graph_lacks_is_reported_with_the_nearest(word: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        expect_known("ignored_types", ["Add", word], {"Convolution", "Add"})
