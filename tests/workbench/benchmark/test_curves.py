"""Curves through a sweep's points."""

import pytest

from danmatte_workbench.benchmark.space import Curve, Point, Space, make_curves
from danmatte_workbench.configuration import Setting
from tests.workbench.benchmark.test_space import point


def list_axis_values(curve: Curve) -> list[int]:
    return [getattr(item.setting, curve.axis) for item in curve.points]


def test_measured_lines_become_curves_sorted_along_their_axis() -> None:
    lines = Space.for_cpu(4).lines
    found = make_curves([point(setting, 1.0) for setting in [lines[0], *reversed(lines[1:])]])
    assert [(curve.axis, list_axis_values(curve)) for curve in found] == [
        ("batch", [1, 2, 4, 8, 16]),
        ("threads", [1, 2, 4]),
        ("threads", [1, 2, 4]),
    ]
    wide, narrow = found[1:]
    assert [item.setting.streams for item in wide.points] == [1, 2, 4]
    assert [item.setting.streams for item in narrow.points] == [1, 1, 1]


def test_points_off_the_lines_and_unmeasured_ones_are_on_no_curve() -> None:
    reference = Space.for_cpu(4).reference
    others = [
        point(Setting(2, 4, 4, 8, pinning=False), 1.0),
        point(Setting(2, 4, 4, 16), 1.0),
        Point(Setting(2, 4, 4, 8), None, "no"),
    ]
    assert make_curves([point(reference, 1.0), *others]) == ()


def test_without_points_there_are_no_curves() -> None:
    assert make_curves([]) == ()


def test_a_curve_whose_points_are_out_of_order_is_refused() -> None:
    with pytest.raises(ValueError, match="in the order of batch"):
        Curve("batch", "x", (point(Setting(2), 1.0), point(Setting(1), 1.0)))
