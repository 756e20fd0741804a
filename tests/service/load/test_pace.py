"""When cores were slow, and what is left out because of it."""

import time
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.cores import list_cpus
from load.pace import WINDOW_S, Pace, PaceMeter, find_slow


def sample(*spans: tuple[float, float], usual: float = 1.0) -> np.ndarray:
    """Samples of ten seconds that take half as long again within the spans."""
    moments = np.arange(0, 10, 0.01)
    took = np.full(len(moments), usual)
    for begin, end in spans:
        took[(moments >= begin) & (moments < end)] *= 1.5
    return np.column_stack([moments, took])


def test_windows_in_which_the_work_takes_longer_are_slow() -> None:
    begins_s, slow = find_slow(sample((2.0, 2.5), (7.0, 7.1)))
    assert begins_s[slow] == pytest.approx([2.0, 2.1, 2.2, 2.3, 2.4, 7.0])


def test_a_core_is_compared_with_itself_and_single_samples_are_no_slowness() -> None:
    assert not find_slow(sample(usual=9.0))[1].any()
    assert not find_slow(sample((3.0, 3.02)))[1].any()


def test_a_request_counts_unless_one_of_its_cores_was_slow_meanwhile() -> None:
    pace = Pace({0: np.array([2.0]), 1: np.array([5.0])}, 0.1)
    began_s, ended_s = np.array([1.0, 1.95, 2.0 + WINDOW_S / 2, 2.2, 4.95]), np.array([1.9, 2.01, 3.0, 2.3, 5.5])
    assert pace.list_undisturbed(began_s, ended_s, [0]).tolist() == [True, False, False, True, True]
    assert pace.list_undisturbed(began_s, ended_s, [0, 1]).tolist() == [True, False, False, True, False]


def test_every_core_is_measured_while_the_block_runs(tmp_path: Path) -> None:
    began = time.perf_counter()
    with PaceMeter(list_cpus()) as meter:
        time.sleep(1.0)
    found = meter.read()
    assert set(found.slow_s) == set(list_cpus())
    assert 0 <= found.slow_share <= 1
    for moments_s in found.slow_s.values():
        assert ((moments_s > began) & (moments_s < time.perf_counter())).all()
