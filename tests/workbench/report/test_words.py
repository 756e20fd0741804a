"""Figures as people read them."""

import pytest

from danmatte_workbench.report import words
from danmatte_workbench.report.records import Figure


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
def test_a_number_has_three_digits(value: float, written: str) -> None:
    assert words.format_number(value) == written


@pytest.mark.parametrize(
    ("value", "written"), [(0.5, "0.5"), (100.0, "100"), (-0.25, "−0.25"), (0.0, "0"), (2000, "2\u202f000")]
)
def test_a_tick_has_no_idle_zeros(value: float, written: str) -> None:
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


def test_a_moment_that_is_none_stays_as_it_is() -> None:
    assert words.format_time("2026-11-25T17:20:00+00:00") == "25 November 2026, 17:20 UTC"
    assert words.format_time("some\x1bday") == "some�day"


def test_settings_are_a_line() -> None:
    given = {"device": "CPU", "streams": 2, "infer_requests": 4, "pinning": False, "note": ""}
    assert words.format_settings(given) == "CPU · streams 2 · infer requests 4 · no pinning"
