"""Formatting of figures, times and names."""

import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP
from danmatte_workbench.experiment.race import SPEEDS
from danmatte_workbench.metrics import Metric
from danmatte_workbench.metrics.accuracy import TOP1
from danmatte_workbench.report import words
from danmatte_workbench.report.records import Figure

# Zero-width characters and bidirectional marks.
HIDING = "\u200b\u200e\u200f\ufeff" + "".join(map(chr, (*range(0x2028, 0x202F), *range(0x2060, 0x206A))))


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (102.443, "102"),
        (5.0331, "5.03"),
        (0.0714, "0.0714"),
        (999.6, "1\u202f000"),
        (0.4996, "0.500"),
        (-3.21, "−3.21"),
        (0.0, "0"),
        (12345.6, "12\u202f346"),
        (3e-9, "3.00e−09"),
    ],
)
def test_a_number_has_three_significant_digits(value: float, written: str) -> None:
    assert words.format_number(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0.5, "0.5"), (100.0, "100"), (-0.25, "−0.25"), (0.0, "0"), (2000, "2\u202f000")]
)
def test_a_tick_has_no_trailing_zeros(value: float, written: str) -> None:
    assert words.format_tick(value) == written


@pytest.mark.parametrize(
    ("metric", "figure", "written"),
    [
        ("speedup", Figure(5.033, 4.6, 6.2, "×", 9), "5.03×"),
        ("throughput", Figure(102.4, 101, 105, "frames/s", 9), "102 frames/s"),
        ("iou_drop", Figure(-0.002, -0.1, 0.1, "points", 9), "0.00 points"),
        ("mean_iou", Figure(0.82812, 0.8, 0.9, "IoU", 9), "0.828"),
        ("size_bytes", Figure(2.4e6, 2.4e6, 2.4e6, "bytes", 1), "2.40 MB"),
        ("joules", Figure(3, 3, 3, "J", 1), "3.00 J"),
    ],
)
def test_a_figure_has_its_metrics_unit(metric: str, figure: Figure, written: str) -> None:
    assert words.format_measure(figure, metric) == written


def test_an_interval_is_in_the_values_unit() -> None:
    assert words.format_interval(Figure(2.4e6, 2.3e6, 2.5e6, "bytes", 1), "size_bytes") == "2.30 … 2.50"


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (1391, "23 min 11 s"), (7260, "2 h 1 min")]
)
def test_a_duration_is_in_its_largest_units(seconds: float, written: str) -> None:
    assert words.format_duration(seconds) == written


def test_a_time_is_formatted_and_a_text_that_is_no_time_kept() -> None:
    assert words.format_time("2026-11-25T17:20:00+00:00") == "25 November 2026, 17:20 UTC"
    assert words.format_time("some\x1bday") == "some�day"


def test_settings_are_formatted_as_one_line() -> None:
    given = {"device": "CPU", "streams": 2, "infer_requests": 4, "pinning": False, "note": ""}
    assert words.format_settings(given) == "CPU · streams 2 · infer requests 4 · no pinning"


# Numbers of every size


@given(st.floats(-1e15, 1e15), st.integers(2, 6))
def test_a_formatted_number_is_correct_to_its_digits(value: float, digits: int) -> None:
    text = words.format_number(value, digits)
    read = float(text.replace(words.THIN_SPACE, "").replace(words.MINUS, "-"))
    assert read == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits), abs=0)
    assert "-" not in text


@given(st.floats(1e-4, 1e14), st.integers(2, 5))
def test_a_number_without_an_exponent_has_at_least_its_digits(value: float, digits: int) -> None:
    text = words.format_number(value, digits).replace(words.THIN_SPACE, "")
    assert "e" not in text
    assert len(text.replace(".", "").lstrip("0")) >= digits or float(text) >= 10 ** (digits - 1)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1e-4, "0.000100"),
        (9.9e-5, "9.90e−05"),
        (1e15, "1.00e+15"),
        (9.99e14, "999\u202f000\u202f000\u202f000\u202f000"),
    ],
)
def test_only_very_small_or_large_numbers_have_an_exponent(value: float, written: str) -> None:
    assert words.format_number(value) == written


@given(st.floats(-1e6, 1e6), st.integers(0, 4))
def test_a_fixed_number_has_its_decimal_places_and_no_minus_before_zero(value: float, places: int) -> None:
    text = words.format_fixed(value, places)
    assert len(text.partition(".")[2]) == places
    assert float(text.replace(words.MINUS, "-")) == pytest.approx(value, abs=0.51 * 10.0**-places)
    assert not re.fullmatch(rf"[-{words.MINUS}]0(\.0*)?", text)


@given(st.integers(-(10**6), 10**6), st.integers(0, 4))
def test_a_tick_keeps_every_significant_digit(number: int, places: int) -> None:
    value = number / 10**places
    text = words.format_tick(value)
    assert float(text.replace(words.THIN_SPACE, "").replace(words.MINUS, "-")) == value
    assert not text.endswith(".")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("count", "written"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (4321, "4\u202f321 frames")]
)
def test_a_count_agrees_with_its_noun(count: int, written: str) -> None:
    assert words.format_count(count, "frame") == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-3, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3599, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_a_duration_never_shows_sixty_of_a_unit(seconds: float, written: str) -> None:
    assert words.format_duration(seconds) == written


# Names and facts


@given(st.text())
def test_sanitizing_replaces_only_invisible_characters(text: str) -> None:
    clean = words.sanitize(text)
    assert len(clean) == len(text)
    assert words.sanitize(clean) == clean
    for before, after in zip(text, clean, strict=True):
        invisible = unicodedata.category(before) in ("Cc", "Cs") and before not in "\t\n"
        assert after == ("�" if invisible or before in HIDING else before)


@pytest.mark.parametrize("hidden", HIDING)
def test_zero_width_and_bidirectional_characters_are_replaced_by_a_visible_one(hidden: str) -> None:
    assert words.sanitize(f"a{hidden}b") == "a�b"


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (0, "0"),
        (12345, "12345"),
        (1234.5, "1\u202f234"),
        ("words", "words"),
        ("", ""),
        ([], "–"),
        ({}, "–"),
        (["a", 2, None], "a, 2, –"),
        ({"a": 1, "b": [True, 0.5]}, "a 1, b yes, 0.500"),
    ],
)
def test_a_fact_of_any_type_is_formatted_as_text(content: Any, written: str) -> None:
    assert words.format_fact(content) == written


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({}, ""),
        ({"device": "CPU", "note": "", "x": None}, "CPU"),
        ({"pinning": True, "hyper": False}, "pinning · no hyper"),
        ({"infer_requests": 0}, "infer requests 0"),
        ({"sizes": [1, 2]}, "sizes 1, 2"),
    ],
)
def test_unset_settings_are_left_out(settings: dict[str, Any], written: str) -> None:
    assert words.format_settings(settings) == written


@pytest.mark.parametrize(
    ("iso", "written"),
    [
        ("2026-01-02T03:04:05", "2 January 2026, 03:04"),
        ("2026-01-02T03:04:05Z", "2 January 2026, 03:04 UTC"),
        ("2026-01-02T03:04:05+02:00", "2 January 2026, 03:04 UTC+02:00"),
        ("yesterday", "yesterday"),
        ("", ""),
    ],
)
def test_a_time_is_formatted_with_its_zone(iso: str, written: str) -> None:
    assert words.format_time(iso) == written


def test_an_unknown_metric_is_named_by_its_key() -> None:
    assert words.get_term("joules_per_frame") == words.Term("Joules per frame", "", "joules_per_frame")
    assert words.get_term("latency").unit == "ms"


@pytest.mark.parametrize(
    "metric",
    [*SPEEDS, IOU_DROP, DISAGREEMENT, TOP1, *(kind for kind, metric in Metric.all.items() if metric.of_candidates)],
)
def test_every_metric_of_a_run_has_a_term(metric: str) -> None:
    assert metric in words.TERMS


@pytest.mark.parametrize(
    ("metric", "unit", "written"),
    [
        ("speedup", "whatever", "×"),
        ("top1", "%", "%"),
        ("latency", "ms", " ms"),
        ("mean_iou", "IoU", ""),
        ("energy", "J", " J"),
        ("energy", "bytes", ""),
        ("energy", "", ""),
    ],
)
def test_a_unit_is_separated_by_a_space_unless_it_is_a_sign(metric: str, unit: str, written: str) -> None:
    assert words.format_unit(Figure(1, 1, 1, unit, 1), metric) == written


@pytest.mark.parametrize(
    ("value", "metric", "written"),
    [
        (2_444_444, "size_bytes", "2.44"),
        (-0.004, "iou_drop", "0.00"),
        (-0.006, "disagreement", "−0.01"),
        (0.98765, "boundary_iou", "0.988"),
        (98.765, "top1", "98.8"),
    ],
)
def test_a_value_is_rounded_to_the_digits_of_its_metric(value: float, metric: str, written: str) -> None:
    assert words.format_value(value, metric) == written
