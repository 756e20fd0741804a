"""The access log: complete lines in order, without blocking."""

import json
import os

import pytest

from danmatte.telemetry.log import AccessLog


def test_line_breaks_and_quotes_in_a_path_are_escaped() -> None:
    read, write = os.pipe()
    log = AccessLog(write)
    log.write({"path": '/a\n"b\u2028', "status": 200})
    log.write({"path": "/c", "status": 404})
    log.close()
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as lines:
        assert [json.loads(line)["path"] for line in lines.read().rstrip("\n").split("\n")] == ['/a\n"b\u2028', "/c"]


def test_a_slow_reader_loses_lines_without_blocking() -> None:
    read, write = os.pipe()
    lost: list[int] = []
    log = AccessLog(write, max_lines=4, on_drop=lambda: lost.append(1))
    big = {"path": "x" * 70_000}  # more than a pipe holds: the writer waits
    for _ in range(20):
        log.write(big)
    assert len(lost) >= 15
    log.close(timeout_s=0.01)  # times out
    os.close(read)


def test_a_closed_pipe_drops_lines_without_an_error() -> None:
    read, write = os.pipe()
    os.close(read)
    lost: list[int] = []
    log = AccessLog(write, on_drop=lambda: lost.append(1))
    log.write({"status": 200})
    log.close()
    os.close(write)
    assert lost == [1]


def test_a_path_that_is_not_unicode_drops_only_its_own_line(capfd: pytest.CaptureFixture[str]) -> None:
    lost: list[int] = []
    log = AccessLog(1, on_drop=lambda: lost.append(1))
    log.write({"path": "/\udcff"})
    log.write({"path": "/a"})
    log.close()
    assert (capfd.readouterr().out, lost) == ('{"path":"/a"}\n', [1])
