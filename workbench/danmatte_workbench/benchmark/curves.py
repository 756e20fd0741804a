"""The curves of a sweep: speed against one axis, the others held or following it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from danmatte_workbench.benchmark.space import Point
from danmatte_workbench.configuration import Setting

Axis = Literal["batch", "threads"]


@dataclass(frozen=True)
class Curve:
    """Measured points along ``axis``, in its order. ``title`` says what is held.

    Plot ``ratio`` for the shape, which the machine's noise doesn't touch, and throughput or latency for the size.
    """

    axis: Axis
    title: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        places = [getattr(point.setting, self.axis) for point in self.points]
        if places != sorted(set(places)):
            raise ValueError(f"{self.title}: expected points in the order of {self.axis}. Received: {places}")


def curves(points: Sequence[Point]) -> tuple[Curve, ...]:
    """Throughput against batch size, throughput against threads (a stream each), latency against threads (one stream).

    points: as `sweep.sweep` gave them, the reference first. Curves of a single point are left out.
    """
    if not points:
        return ()
    usual = points[0].setting
    rules: tuple[tuple[Axis, str, Callable[[Setting], Setting]], ...] = (
        ("batch", f"by batch, streams {usual.streams}", lambda at: replace(usual, batch=at.batch)),
        (
            "threads",
            "by threads, a stream each",
            lambda at: Setting(1, at.threads or 1, at.threads, 2 * at.threads or 1),
        ),
        ("threads", "by threads, one stream", lambda at: Setting(1, 1, at.threads, 1)),
    )
    found = (Curve(axis, title, _along(axis, points, rule)) for axis, title, rule in rules)
    return tuple(curve for curve in found if len(curve.points) > 1)


def _along(axis: Axis, points: Sequence[Point], rule: Callable[[Setting], Setting]) -> tuple[Point, ...]:
    """The measured points that are where ``rule`` puts their place on the axis."""
    on_it = [point for point in points if point.timing and point.setting == rule(point.setting)]
    return tuple(sorted(on_it, key=lambda point: int(getattr(point.setting, axis))))
