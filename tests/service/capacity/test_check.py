"""Predicted and measured figures of a real server with a toy's graph."""

from pathlib import Path

import numpy as np
import pytest

from danmatte.capacity.arrivals import Streams
from danmatte.capacity.capacity import FrameKind
from danmatte.capacity.check import CheckOptions, check, draw_single_caller
from danmatte.capacity.frames import make_bodies
from danmatte.capacity.measure import PLAYERS_MASK, make_target
from tests.service.capacity.measured import make_capacity
from tests.service.serving import program

SMALL = FrameKind("jpeg", 160, 90)


def test_predictions_and_measurements_use_identical_arrivals(models: Path) -> None:
    worker = make_capacity().model_worker(1)
    lines: list[str] = []
    with program(models, "--cores", "1") as (_, url):
        target = make_target(url, SMALL, PLAYERS_MASK, make_bodies(SMALL, None))
        options = CheckOptions(1.0, ("periodic", "poisson"), (0.2, 0.4))
        found = list(check(worker, target, Streams(1, 5), options, lines.append))
    assert [(one.pattern, one.share) for one in found] == [
        ("periodic", 0.2),
        ("poisson", 0.2),
        ("periodic", 0.4),
        ("poisson", 0.4),
    ]
    assert len(lines) == 4
    for one in found:
        assert one.predicted.per_s == one.measured.per_s  # for identical arrivals
        assert one.measured.refused_share < 1
        assert one.predicted.p50_ms > 0


def test_requests_to_an_unreachable_server_count_as_refused() -> None:
    worker = make_capacity().model_worker(1)
    target = make_target("http://127.0.0.1:1", SMALL, PLAYERS_MASK, [b"x"])
    (found,) = check(worker, target, Streams(1, 5), CheckOptions(0.5, ("periodic",), (0.5,)), lambda _: None)
    assert found.measured.refused_share == 1
    assert found.measured.p99_ms == np.inf
    assert found.predicted.refused_share == 0


@pytest.mark.parametrize("pattern", ["periodic", "jitter", "poisson"])
def test_arrivals_of_a_check_have_one_caller_and_no_negative_times(pattern: str) -> None:
    drawn = draw_single_caller(Streams(7, 5, pattern, 0.2), 10, np.random.default_rng(3))
    assert (drawn.callers == 0).all()
    assert drawn.moments_s.min() >= 0
