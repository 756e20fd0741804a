"""Frozen and dropped frames, found by each frame's difference from the previous one: on average and in one block."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FREEZE_MS = 400  # a picture that doesn't change for this long between moving ones is frozen
_SAME = 0.25  # grey levels of mean difference: encoders leave less than this in a repeated frame
_REPEATED = 0.2  # share of the usual difference nearby: less is a repeated frame
_MOVING = 1.5  # grey levels: less isn't clearly movement, and may be caused by keyframes
_BORDER = 3  # frames that are examined before and after a standing picture
_JUMP = 1.3  # times the difference before: movement that was missed in between
_CAMERA = 2.5  # grey levels: more is movement of the camera, which can't stop within a frame
_NEAR = 12  # frames on both sides, for the usual difference
_GAP = 1.6  # times the usual time between frames: more is a missing frame
_SAME_BLOCK = 0.5  # grey levels in the block that changes most: less means that nothing moved
_MOVING_BLOCK = 2.0  # grey levels there: more means that something small moves, such as distant people
_REGULAR = 0.7  # share of the repeats at the same distance, as if each drawing is shown twice, or in film on television
_MAX_REGULAR = 6  # largest such distance, in frames


@dataclass(frozen=True)
class Stutter:
    """Spans of a video that are `frozen` or `dropped`: (count, 2) start and end in ms each."""

    frozen: npt.NDArray[np.int64]
    dropped: npt.NDArray[np.int64]

    def measure(self, from_ms: int, to_ms: int) -> tuple[float, float]:
        """Return the shares of a time span, 0 to 1, that are frozen and dropped."""
        return _overlap(self.frozen, from_ms, to_ms), _overlap(self.dropped, from_ms, to_ms)


NO_STUTTER = Stutter(np.empty((0, 2), np.int64), np.empty((0, 2), np.int64))


def find_stutter(
    times_ms: npt.NDArray[np.int64], changes: npt.NDArray[np.float32], blocks: npt.NDArray[np.float32]
) -> Stutter:
    """Return the frozen and dropped spans of a video, or of a part of it.

    `changes` are mean differences in grey levels from the previous frame, `blocks` those in the block that changes
    most; both are NaN if there is no frame to compare with, as after a cut.

    Dropped are repeated frames among moving ones, and gaps between times; regular repeats don't count, because the film
    was made so. Frozen is a picture that stops abruptly and either stands for long and then jumps, or never moves
    again; a scene that people have left isn't frozen. If only a small part moves, the whole picture hardly changes, so
    a frame counts as repeated if not even one block changes.
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
    """Return the time from a run's first frame to the frame after its last one, in ms."""
    return int(times_ms[run[0]]), int(times_ms[min(run[1], len(times_ms) - 1)])


def _find_standing(
    times_ms: npt.NDArray[np.int64], changes: npt.NDArray[np.float32]
) -> tuple[list[tuple[int, int]], npt.NDArray[np.bool_]]:
    """Return the spans in which a moving picture is frozen, and a flag per frame that is set for repeated ones."""
    usual = _find_usual(changes)
    same = (changes < _SAME) | (changes < _REPEATED * usual)
    frozen, repeats = [], []
    for begin, end in _list_runs(same):
        # An encoder needs some frames until a repeated one is exactly the same, so frames near the border count, too.
        before, after = (_find_largest(changes[max(0, at) : at + _BORDER]) for at in (begin - _BORDER, end))
        moved = max(_MOVING, 0.5 * usual[begin - 1])
        span = _span(times_ms, (begin, end))
        if span[1] - span[0] >= FREEZE_MS:
            # So much may have been missed that the continuation looks like a cut.
            ends = end == len(changes) or (before > _CAMERA and bool(np.isnan(changes[end])))
            resumed = after > (moved if before > _CAMERA else _JUMP * before)
            if before > moved and (ends or resumed):
                frozen.append(span)
        elif before > moved and after > moved:
            repeats.append((begin, end))
    return frozen, _mark(repeats, same)


def _find_local_repeats(times_ms: npt.NDArray[np.int64], blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Return a flag per frame that is set for repeats between small movements; a long stop is a pause, not a repeat."""
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
    """Return a flag per frame that is set in these runs; none is set if the runs are regular."""
    flags = np.zeros(len(same), np.bool_)
    if not _is_regular([begin for begin, _ in repeats], int(same.sum())):
        for begin, end in repeats:
            flags[begin:end] = True
    return flags


def _find_largest(changes: npt.NDArray[np.float32]) -> float:
    """Return the largest finite difference, or 0 if there is none."""
    known = changes[np.isfinite(changes)]
    return float(known.max()) if known.size else 0.0


def _find_usual(changes: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the usual difference near each frame: the upper quartile, because repeated frames only lower it."""
    usual = np.zeros(len(changes))
    for at in range(len(changes)):
        near = changes[max(0, at - _NEAR) : at + _NEAR + 1]
        near = near[np.isfinite(near)]
        usual[at] = np.percentile(near, 75) if near.size else 0.0
    return usual


def _list_runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of set flags: the first index of each, and one past the last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(first), int(past)) for first, past in zip(edges[::2], edges[1::2], strict=True)]


def _is_regular(places: list[int], repeats: int) -> bool:
    """Return whether most repeats are single frames at the same short distance."""
    distances = np.diff(places)
    if len(distances) < 3 or repeats > len(places) * 1.2:
        return False
    commonest = int(np.bincount(distances).argmax())
    return commonest <= _MAX_REGULAR and float((distances == commonest).mean()) > _REGULAR


def _overlap(spans: npt.NDArray[np.int64], from_ms: int, to_ms: int) -> float:
    if to_ms <= from_ms or not len(spans):
        return 0.0
    inside = np.clip(np.minimum(spans[:, 1], to_ms) - np.maximum(spans[:, 0], from_ms), 0, None)
    return min(1.0, float(inside.sum()) / (to_ms - from_ms))
