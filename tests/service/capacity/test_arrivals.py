"""Arrivals of streams, and of access logs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from danmatte.capacity.arrivals import Arrivals, Streams, multiply, read_trace
from danmatte.errors import InvalidParameterError


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def gaps_of(arrivals: Arrivals, caller: int) -> np.ndarray:
    return np.diff(arrivals.moments_s[arrivals.callers == caller])


@pytest.mark.parametrize("pattern", ["periodic", "jitter", "poisson"])
def test_every_pattern_has_the_requested_rate_and_sorted_times(pattern: str) -> None:
    found = Streams(10, 5, pattern, 0.01).draw(200, chance())
    assert found.per_s == pytest.approx(50, rel=0.05)
    assert (np.diff(found.moments_s) >= 0).all()
    assert set(found.callers) == set(range(10))


def test_periodic_streams_keep_their_period_and_start_at_different_phases() -> None:
    found = Streams(5, 4, "periodic").draw(10, chance())
    for caller in range(5):
        assert gaps_of(found, caller) == pytest.approx(0.25)
    assert len({round(found.moments_s[found.callers == caller][0], 6) for caller in range(5)}) == 5


def test_jitter_shifts_frames_without_accumulating() -> None:
    found = Streams(1, 10, "jitter", 0.01).draw(500, chance())
    assert gaps_of(found, 0).std() == pytest.approx(0.01 * 2**0.5, rel=0.1)
    assert found.moments_s[-1] == pytest.approx(500, abs=0.3)


def test_poisson_arrivals_have_a_variance_equal_to_their_mean() -> None:
    found = Streams(10, 5, "poisson").draw(400, chance())
    counts = np.histogram(found.moments_s, bins=400, range=(0, 400))[0]
    assert counts.var() / counts.mean() == pytest.approx(1, abs=0.2)


def write_log(file: Path, lines: list[dict[str, object]]) -> Path:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def make_lines(count: int, callers: int = 4) -> list[dict[str, object]]:
    """Write a log of posts 100 ms apart, each answered after 20 ms."""
    start = datetime(2026, 11, 30, tzinfo=UTC)
    return [
        {
            "time": (start + timedelta(milliseconds=100 * number + 20)).isoformat(timespec="milliseconds"),
            "method": "POST",
            "caller": f"key-{number % callers}",
            "total_ms": 20.0,
        }
        for number in range(count)
    ]


def test_arrival_times_are_the_times_of_a_log_minus_request_durations(tmp_path: Path) -> None:
    lines = make_lines(200)
    lines[10]["total_ms"] = 70.0  # so it arrived 50 ms earlier than the others
    found = read_trace(write_log(tmp_path / "access.jsonl", lines))
    assert np.diff(found.moments_s)[9:11] == pytest.approx([0.05, 0.15], abs=1e-6)
    assert found.per_s == pytest.approx(10)
    assert len(set(found.callers)) == 4


def test_lines_of_a_log_that_are_not_posts_are_ignored(tmp_path: Path) -> None:
    lines = [*make_lines(100), {"method": "GET", "path": "/metrics"}]
    file = write_log(tmp_path / "access.jsonl", lines)
    file.write_text(file.read_text() + "\n")
    assert len(read_trace(file).moments_s) == 100


def test_only_requests_for_masks_count_as_load(tmp_path: Path) -> None:
    computed = [line | {"model": "toy", "code": ""} for line in make_lines(100)]
    others = [line | {"model": "", "code": code} for line, code in zip(make_lines(3), CODES_WITHOUT_WORK, strict=True)]
    refused = [line | {"model": "", "code": "queue_full"} for line in make_lines(2)]
    calls = [line | {"method": "gRPC", "model": model} for line, model in zip(make_lines(2), ("toy", ""), strict=True)]
    found = read_trace(write_log(tmp_path / "access.jsonl", [*computed, *others, *refused, *calls]))
    assert len(found.moments_s) == 100 + 2 + 1


CODES_WITHOUT_WORK = ("unauthorized", "not_found", "bad_request")


def test_unicode_line_separators_in_a_path_do_not_split_a_line_of_a_log(tmp_path: Path) -> None:
    lines = [line | {"path": "/a\u2028b\x85c\x1cd"} for line in make_lines(100)]
    file = tmp_path / "access.jsonl"
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    assert len(read_trace(file).moments_s) == 100


def test_an_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    file = write_log(tmp_path / "access.jsonl", make_lines(100))
    file.write_text(file.read_text() + '{"method": "PO')
    assert len(read_trace(file).moments_s) == 100


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("not json", "line 101"),
        ('{"method": "POST"}', "line 101"),
        ('{"method": "POST", "time": "yesterday", "total_ms": 1, "caller": "a"}', "line 101"),
        ("[]", "line 101"),
    ],
)
def test_an_invalid_line_of_a_log_is_reported_by_its_number(tmp_path: Path, bad: str, says: str) -> None:
    file = write_log(tmp_path / "access.jsonl", make_lines(100))
    file.write_text(file.read_text() + bad + "\n")
    with pytest.raises(InvalidParameterError, match=says):
        read_trace(file)


def test_logs_that_are_missing_too_short_or_without_duration_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="at least 100 posts, received 5"):
        read_trace(write_log(tmp_path / "short.jsonl", make_lines(5)))
    with pytest.raises(InvalidParameterError, match=r"none\.jsonl"):
        read_trace(tmp_path / "none.jsonl")
    at_once = [make_lines(1)[0]] * 100
    with pytest.raises(InvalidParameterError, match="all at the same time"):
        read_trace(write_log(tmp_path / "once.jsonl", at_once))


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.3, 2.0])
def test_multiplying_a_log_adds_callers_and_keeps_each_ones_rhythm(factor: float) -> None:
    recorded = Streams(20, 5, "periodic").draw(20, chance())
    grown = multiply(recorded, factor, chance())
    assert len(set(grown.callers)) == round(20 * factor)
    assert len(grown.moments_s) == pytest.approx(factor * len(recorded.moments_s), rel=0.02)
    assert (np.diff(grown.moments_s) >= 0).all()
    assert grown.moments_s[-1] <= recorded.moments_s[-1] + 1e-6
    assert np.median(gaps_of(grown, int(grown.callers[0]))) == pytest.approx(0.2)


def test_a_log_multiplied_by_almost_zero_is_empty() -> None:
    recorded = Streams(2, 5).draw(20, chance())
    assert not len(multiply(recorded, 1e-9, chance()).moments_s)


@pytest.mark.parametrize("factor", [0.05, 0.5, 1.0, 1.3, 2.5])
def test_the_log_of_a_single_caller_is_multiplied_by_requests(factor: float) -> None:
    """A backend has one key for all of its viewers."""
    recorded = Streams(1, 200, "poisson").draw(20, chance())
    grown = multiply(recorded, factor, chance())
    assert len(grown.moments_s) == pytest.approx(factor * len(recorded.moments_s), rel=0.2)


def test_other_callers_are_multiplied_whole_beside_a_heavy_caller() -> None:
    viewers, backend = Streams(40, 1, "periodic").draw(20, chance()), Streams(1, 100, "poisson").draw(20, chance())
    moments = np.concatenate([viewers.moments_s, backend.moments_s])
    order = np.argsort(moments)
    recorded = Arrivals(moments[order], np.concatenate([viewers.callers, backend.callers + 40])[order])
    grown = multiply(recorded, 1.5, chance())
    counts = np.bincount(grown.callers)
    assert sorted(set(counts[counts < 100]) - {0}) == [20]  # complete viewers, with 20 frames each
    assert (counts == 20).sum() == 60
    assert len(grown.moments_s) == pytest.approx(1.5 * len(recorded.moments_s), rel=0.05)
