"""Measurement of a real server in a separate process, with a toy's graph."""

import os
from pathlib import Path

import pytest

from danmatte.capacity.capacity import FrameKind
from danmatte.capacity.load import PostResult
from danmatte.capacity.measure import PLAYERS_MASK, LoopRun, MeasureOptions, make_target, measure, start_server
from danmatte.contract.cores import count_cores
from danmatte.errors import InvalidParameterError, SettingsError
from danmatte.frame import Size
from danmatte.settings import Settings

SMALL, RAW = FrameKind("jpeg", 160, 90), FrameKind("nv12", 160, 90)


def test_one_core_and_all_cores_are_measured_in_open_and_closed_loops(models: Path) -> None:
    lines: list[str] = []
    settings = Settings(models=str(models), deadline_s=5.0, keys="nowhere.toml", workers=3, port=8080)
    found = measure(MeasureOptions(settings, (SMALL, RAW), seconds=0.3), lines.append)
    assert found.cores == sorted({1, count_cores()})
    assert found.frames == [SMALL, RAW]
    assert found.version == 2
    assert found.settings.deadline_s == 5.0
    assert found.resident_bytes > 2**20
    assert found.host.cores == count_cores()
    assert {(loop.cores, loop.connections) for loop in found.loops if loop.frame == SMALL} == {
        (cores, connections) for cores in found.cores for connections in (0, 4 * cores)
    } | {(1, 1)}
    for cores in found.cores:
        busy, light = (found._find(cores, busy=each) for each in (True, False))
        assert light.per_s < busy.per_s
    for loop in found.loops:
        assert list(loop.thread_ms) == sorted(loop.thread_ms)
        assert loop.p50_ms <= loop.p99_ms
    assert sum("p99" in line for line in lines) == len(found.loops)
    assert found.model_worker(1).per_s > 0


def test_a_server_that_fails_to_start_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="ended with exit code 2"),
        start_server(Settings(models=str(tmp_path)), 1),
    ):
        pass


def test_the_server_process_ends_with_the_with_block(models: Path) -> None:
    with start_server(Settings(models=str(models)), 1) as server:
        assert server.resident_bytes > 0
        assert len(os.sched_getaffinity(server.pid)) == 1
    assert server.resident_bytes == 0


def test_measuring_fails_if_the_server_refuses_the_frames(models: Path, tmp_path: Path) -> None:
    settings = Settings(models=str(models), max_body_bytes=100)
    with pytest.raises(InvalidParameterError, match=r"expected masks, received status \[413\]"):
        measure(MeasureOptions(settings, (SMALL,), seconds=0.1), lambda _: None)


def test_times_measured_on_temporarily_slow_cores_are_corrected() -> None:
    replies = [PostResult(200, 0.06, 0.04, 0.030 if number >= 20 else 0.015, 1, number * 0.025) for number in range(40)]
    run = LoopRun(1, 4, SMALL, 40 * 0.024, replies)
    assert run.summarize().per_s == pytest.approx(1 / 0.024)
    even = run.summarize(lambda moment_s: 2.0 if moment_s > 0.55 else 1.0)
    assert even.thread_ms[0] == even.thread_ms[-1] == pytest.approx(15)
    assert even.per_s == pytest.approx(1 / 0.0165)


def test_raw_frames_request_masks_of_their_own_size() -> None:
    assert make_target("http://a/", SMALL, PLAYERS_MASK, []).url == "http://a/v1/mattes?width=320&height=180"
    raw = make_target("http://a", FrameKind("nv12", 161, 91), Size(1, 1), [])
    assert raw.url == "http://a/v1/mattes?width=160&height=90"
    assert raw.headers["Content-Type"] == "application/x-nv12"
