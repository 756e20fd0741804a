"""Slowness of cores, measured by a fixed piece of work."""

import time

import numpy as np
import pytest

from danmatte.contract.cores import list_cpus
from load.pace import SLOW, Pace, PaceMeter, find_slowness


def sample(*spans: tuple[float, float], usual: float = 1.0) -> np.ndarray:
    """Return samples of ten seconds with times that are 50 % longer within the spans."""
    moments = np.arange(0, 10, 0.01)
    took = np.full(len(moments), usual)
    for begin, end in spans:
        took[(moments >= begin) & (moments < end)] *= 1.5
    return np.column_stack([moments, took])


def test_windows_in_which_the_work_takes_longer_are_slow() -> None:
    slowness = find_slowness(sample((2.0, 2.5), (7.0, 7.1)))
    assert np.flatnonzero(slowness > SLOW).tolist() == [20, 21, 22, 23, 24, 70]
    assert slowness[20] == pytest.approx(1.5)


def test_a_core_is_compared_with_itself_and_single_slow_samples_are_ignored() -> None:
    assert (find_slowness(sample(usual=9.0)) == 1).all()
    assert (find_slowness(sample((3.0, 3.02))) == 1).all()


def test_slowness_is_the_mean_over_cores_in_the_nearest_window() -> None:
    pace = Pace({0: 5.0, 1: 5.0}, {0: np.array([1.0, 1.4]), 1: np.array([1.0, 1.0])})
    assert [pace.read(moment_s, [0]) for moment_s in (4.0, 5.05, 5.15, 99.0)] == [1.0, 1.0, 1.4, 1.4]
    assert pace.read(5.15, [0, 1]) == pytest.approx(1.2)
    assert pace.slow_share == 0.25


def test_every_core_is_measured_while_the_block_runs() -> None:
    began = time.perf_counter()
    with PaceMeter(list_cpus()) as meter:
        time.sleep(1.0)
    found = meter.read()
    assert set(found.slowness) == set(list_cpus())
    assert all(began < moment_s < time.perf_counter() for moment_s in found.began_s.values())
    assert all(len(windows) for windows in found.slowness.values())
    assert 0 <= found.slow_share <= 1
