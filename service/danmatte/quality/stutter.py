"""Frozen and dropped frames, from how much each frame differs from the one before: as a whole, and where most moves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FREEZE_MS = 400  # a picture that stands for so long, between moving ones, is frozen
_SAME = 0.25  # grey levels of mean difference: what an encoder makes of a repeated frame
_REPEATED = 0.2  # of the usual difference nearby: less is a repeated frame
_MOVING = 1.5  # grey levels: less is no movement that could stop, and may be what keyframes change
_BORDER = 3  # frames before and after what stands
_JUMP = 1.3  # times the difference before: what was missed meanwhile
_CAMERA = 2.5  # grey levels: so much moves with the camera, which doesn't stop at once
_NEAR = 12  # frames on both sides, for what is usual
_GAP = 1.6  # of the usual time between frames: more is a missing one
_SAME_BLOCK = 0.5  # grey levels in the block that changes most: nothing at all moved
_MOVING_BLOCK = 2.0  # grey levels there: something small moves, as far figures do
_REGULAR = 0.7  # share of the repeats that come at one distance: drawings shown twice, or film on television
_MOST_REGULAR = 6  # frames of such a distance


@dataclass(frozen=True)
class Stutter:
    """When pictures stood or were skipped: (count, 2) spans in ms each, `frozen` and `dropped`."""

    frozen: npt.NDArray[np.int64]
    dropped: npt.NDArray[np.int64]

    def measure(self, from_ms: int, to_ms: int) -> tuple[float, float]:
        """The shares of a time, 0 to 1, that are frozen and dropped."""
        return _overlap(self.frozen, from_ms, to_ms), _overlap(self.dropped, from_ms, to_ms)


NO_STUTTER = Stutter(np.empty((0, 2), np.int64), np.empty((0, 2), np.int64))


def find_stutter(
    times_ms: npt.NDArray[np.int64], changes: npt.NDArray[np.float32], blocks: npt.NDArray[np.float32]
) -> Stutter:
    """Frozen and dropped spans of a video, or of a part of it.

    `changes` are mean differences in grey levels from the frame before, `blocks` those in the block that changes most;
    both are NaN where there is none to compare with, as over a cut. A repeated frame among moving ones is a dropped
    one, and so is a gap between times; repeats that come regularly are how the film was made. What stops at once,
    stands for long, and jumps when it goes on is frozen, and what never goes on, too: in a scene that people have left,
    nothing is wrong. Where only little moves, the whole picture hardly changes: there a repeat is a frame in which not
    even one block does.
    """
    if len(times_ms) < 3:
        return NO_STUTTER
    gaps = np.diff(times_ms)
    usual_ms = float(np.median(gaps))
    frozen, repeated = _find_standing(times_ms, changes)
    repeated[_find_local_repeats(times_ms, blocks)] = True
    standing = [_span(times_ms, run) for run in _list_runs(repeated)]
    missing = [(int(times_ms[at] + usual_ms), int(times_ms[at + 1])) for at in np.flatnonzero(gaps > _GAP * usual_ms)]
    dropped = sorted(standing + missing)
    return Stutter(np.array(frozen, np.int64).reshape(-1, 2), np.array(dropped, np.int64).reshape(-1, 2))


def _span(times_ms: npt.NDArray[np.int64], run: tuple[int, int]) -> tuple[int, int]:
    """From a run's first frame to the one after its last."""
    return int(times_ms[run[0]]), int(times_ms[min(run[1], len(times_ms) - 1)])


def _find_standing(
    times_ms: npt.NDArray[np.int64], changes: npt.NDArray[np.float32]
) -> tuple[list[tuple[int, int]], npt.NDArray[np.bool_]]:
    """The spans in which a whole moving picture is frozen, and which frames of one are repeated."""
    usual = _find_usual(changes)
    same = (changes < _SAME) | (changes < _REPEATED * usual)
    frozen, repeats = [], []
    for begin, end in _list_runs(same):
        # An encoder takes some frames to make a repeated one quite the same: what is near the border counts.
        before, after = (_find_largest(changes[max(0, at) : at + _BORDER]) for at in (begin - _BORDER, end))
        moved = max(_MOVING, 0.5 * usual[begin - 1])
        span = _span(times_ms, (begin, end))
        if span[1] - span[0] >= FREEZE_MS:
            # What was missed may be so much that it looks like a cut.
            ends = end == len(changes) or (before > _CAMERA and bool(np.isnan(changes[end])))
            resumed = after > (moved if before > _CAMERA else _JUMP * before)
            if before > moved and (ends or resumed):
                frozen.append(span)
        elif before > moved and after > moved:
            repeats.append((begin, end))
    return frozen, _mark(repeats, same)


def _find_local_repeats(times_ms: npt.NDArray[np.int64], blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Which frames repeat the one before, where something small moves before and after; a long stop is a pause."""
    usual = _find_usual(blocks)
    same = (blocks < _SAME_BLOCK) & (blocks < _REPEATED * usual)
    repeats = []
    for begin, end in _list_runs(same):
        before, after = (_find_largest(blocks[max(0, at) : at + _BORDER]) for at in (begin - _BORDER, end))
        from_ms, to_ms = _span(times_ms, (begin, end))
        if min(before, after) > max(_MOVING_BLOCK, 0.5 * usual[begin - 1]) and to_ms - from_ms < FREEZE_MS:
            repeats.append((begin, end))
    return _mark(repeats, same)


def _mark(repeats: list[tuple[int, int]], same: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Flags for the frames of these runs; none where they come regularly."""
    flags = np.zeros(len(same), np.bool_)
    if not _is_regular([begin for begin, _ in repeats], int(same.sum())):
        for begin, end in repeats:
            flags[begin:end] = True
    return flags


def _find_largest(changes: npt.NDArray[np.float32]) -> float:
    """The largest of some differences, 0 where there are none."""
    known = changes[np.isfinite(changes)]
    return float(known.max()) if known.size else 0.0


def _find_usual(changes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The usual difference near each frame: the upper quartile, as repeated frames only take away."""
    usual = np.zeros(len(changes))
    for at in range(len(changes)):
        near = changes[max(0, at - _NEAR) : at + _NEAR + 1]
        near = near[np.isfinite(near)]
        usual[at] = np.percentile(near, 75) if near.size else 0.0
    return usual


def _list_runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where flags are set without a break: first, and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(first), int(past)) for first, past in zip(edges[::2], edges[1::2], strict=True)]


def _is_regular(places: list[int], repeats: int) -> bool:
    """Whether most repeats follow each other at the same short distance, and each is alone."""
    distances = np.diff(places)
    if len(distances) < 3 or repeats > len(places) * 1.2:
        return False
    commonest = int(np.bincount(distances).argmax())
    return commonest <= _MOST_REGULAR and float((distances == commonest).mean()) > _REGULAR


def _overlap(spans: npt.NDArray[np.int64], from_ms: int, to_ms: int) -> float:
    if to_ms <= from_ms or not len(spans):
        return 0.0
    inside = np.clip(np.minimum(spans[:, 1], to_ms) - np.maximum(spans[:, 0], from_ms), 0, None)
    return min(1.0, float(inside.sum()) / (to_ms - from_ms))
