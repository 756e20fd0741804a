"""Frozen and dropped frames, found by differences between frames."""

import numpy as np
import pytest

from danmatte.quality.stutter import Stutter, find_stutter

RATE_MS = 40


def find(changes: list[float], times_ms: list[int] | None = None, blocks: list[float] | None = None) -> Stutter:
    """Return the stutter in these differences; the default for `blocks` is three times `changes`."""
    times = range(0, RATE_MS * len(changes), RATE_MS) if times_ms is None else times_ms
    most = np.array(changes, np.float32) * 3 if blocks is None else np.array(blocks, np.float32)
    return find_stutter(np.array(times, np.int64), np.array(changes, np.float32), most)


def move(count: int, seed: int = 1) -> list[float]:
    """Return the differences of moving frames; the first frame has none before it."""
    return [float("nan"), *np.random.default_rng(seed).uniform(3, 5, count - 1)]


def measure(stutter: Stutter, count: int) -> tuple[float, float]:
    return stutter.measure(0, RATE_MS * count)


def test_continuous_movement_has_no_stutter() -> None:
    assert measure(find(move(100)), 100) == (0, 0)


def test_a_repeated_picture_between_moving_ones_is_frozen() -> None:
    changes = move(100)
    changes[40:66] = [*[0.0] * 25, 9.0]
    frozen, dropped = measure(find(changes), 100)
    assert frozen == pytest.approx(0.25)
    assert dropped == 0


@pytest.mark.parametrize("residue", [0.0, 0.1, 0.6])
def test_a_repeated_frame_counts_as_dropped_even_with_encoding_noise(residue: float) -> None:
    changes = move(100)
    for at in (20, 47, 80):
        changes[at] = residue
    frozen, dropped = measure(find(changes), 100)
    assert frozen == 0
    assert dropped == pytest.approx(0.03)


def test_the_share_grows_with_the_number_of_dropped_frames() -> None:
    shares = []
    for count in (2, 5, 12, 25):
        changes = move(100)
        for at in np.random.default_rng(3).permutation(np.arange(2, 99))[:count]:
            changes[at] = 0.0
        shares.append(sum(measure(find(changes), 100)))
    assert shares == sorted(set(shares))


def test_a_gap_between_timestamps_counts_as_dropped_frames() -> None:
    times = [at * RATE_MS for at in range(100) if at not in (30, 31)]
    _, dropped = measure(find(move(98), times), 100)
    assert dropped == pytest.approx(0.02)


def test_animation_that_repeats_every_frame_is_not_stutter() -> None:
    changes = move(100)
    changes[2::2] = [0.0] * len(changes[2::2])
    assert measure(find(changes), 100) == (0, 0)


def test_film_converted_for_television_is_not_stutter() -> None:
    changes = move(100)
    changes[5::5] = [0.0] * len(changes[5::5])
    assert measure(find(changes), 100) == (0, 0)


def test_a_scene_whose_movement_fades_out_and_in_is_not_frozen() -> None:
    changes = move(100)
    changes[30:40] = list(np.linspace(4, 0.05, 10))
    changes[40:60] = [0.02] * 20
    changes[60:70] = list(np.linspace(0.05, 4, 10))
    assert measure(find(changes), 100) == (0, 0)


def test_a_video_that_stops_moving_until_its_end_is_frozen_there() -> None:
    changes = move(100)
    changes[75:] = [0.0] * 25
    frozen, _ = measure(find(changes), 100)
    assert frozen == pytest.approx(0.24, abs=0.02)


def test_a_video_without_any_movement_is_not_frozen() -> None:
    assert measure(find([float("nan")] + [0.05] * 99), 100) == (0, 0)


def test_a_cut_is_not_stutter() -> None:
    changes = move(100)
    changes[50] = float("nan")
    assert measure(find(changes), 100) == (0, 0)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_frames_give_no_stutter(count: int) -> None:
    assert find(move(max(1, count))[:count]).measure(0, 1000) == (0, 0)


def stir(count: int) -> tuple[list[float], list[float]]:
    """Return the differences of frames in which only a small figure moves: of the whole picture, and of its block."""
    rng = np.random.default_rng(5)
    return [float("nan"), *rng.uniform(0.03, 0.3, count - 1)], [float("nan"), *rng.uniform(2.5, 6, count - 1)]


def test_dropped_frames_are_found_where_only_a_small_figure_moves() -> None:
    shares = []
    for count in (0, 2, 5, 12, 30):
        changes, blocks = stir(100)
        for at in np.random.default_rng(3).permutation(np.arange(2, 97))[:count]:
            changes[at] = blocks[at] = 0.0
        frozen, dropped = measure(find(changes, blocks=blocks), 100)
        assert frozen == 0
        shares.append(dropped)
    assert shares[0] == 0
    assert shares == sorted(set(shares))
    assert shares[-1] > 0.2


def test_a_small_figure_that_slows_down_or_pauses_is_not_stutter() -> None:
    changes, blocks = stir(100)
    blocks[20:24] = [1.6, 0.8, 0.8, 1.6]
    blocks[50:70] = [0.0] * 20
    assert measure(find(changes, blocks=blocks), 100) == (0, 0)


def test_the_share_is_computed_for_the_requested_time_span() -> None:
    changes = move(100)
    changes[40:66] = [*[0.0] * 25, 9.0]
    stutter = find(changes)
    assert stutter.measure(0, 1600)[0] == 0
    assert stutter.measure(1600, 2600)[0] == 1
    assert stutter.measure(2000, 2000) == (0, 0)
