"""The application log: complete lines, without blocking."""

import json
import logging
import os
import subprocess
import sys
from datetime import datetime

from danmatte.telemetry.log import BackgroundLog, _JsonFormatter


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("danmatte.x", logging.WARNING, "x.py", 1, text, None, None)


def test_lines_are_written_completely_and_in_order() -> None:
    read, write = os.pipe()
    log = BackgroundLog(write)
    for text in ("first", "second \udcff"):
        log.emit(record(text))
    log.flush()
    assert os.read(read, 1000) == b"WARNING danmatte.x: first\nWARNING danmatte.x: second \\udcff\n"
    log.close()
    os.close(write)
    os.close(read)


def test_a_slow_reader_loses_lines_without_blocking_and_sees_their_number() -> None:
    read, write = os.pipe()
    log = BackgroundLog(write, max_lines=4)
    for _ in range(20):
        log.emit(
            record("x" * 70_000)
        )  # more than a pipe holds: the writer waits, and a call that waited would never return
    lost = log.dropped
    assert lost >= 15
    output = b""
    while b"missing" not in output:
        output += os.read(read, 10**6)
    assert f"{lost} lines were not read in time" in output.decode()
    os.close(read)  # the remaining lines have no reader
    log.close()
    os.close(write)


def test_a_closed_pipe_drops_lines_without_an_error() -> None:
    read, write = os.pipe()
    os.close(read)
    log = BackgroundLog(write)
    log.emit(record("a"))
    log.flush()
    assert log.dropped == 1
    log.close()
    os.close(write)


def test_the_log_is_written_completely_before_the_process_ends() -> None:
    code = "import logging; from danmatte.telemetry.log import log_to_errors; log_to_errors(); logging.info('the last')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert run.stderr == "INFO root: the last\n"


def test_a_json_line_has_time_worker_and_cause() -> None:
    read, write = os.pipe()
    handler = BackgroundLog(write)
    handler.setFormatter(_JsonFormatter("worker-1"))
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        record = logging.LogRecord("danmatte.x", logging.ERROR, "", 0, "it failed: %s", ("a\nb",), sys.exc_info())
        handler.emit(record)
    handler.close()
    os.close(write)
    with os.fdopen(read) as lines:
        (line,) = lines.read().splitlines()
    output = json.loads(line)
    assert (output["level"], output["logger"], output["worker"]) == ("ERROR", "danmatte.x", "worker-1")
    assert output["message"] == "it failed: a\nb"
    assert "ValueError: one" in output["cause"]
    assert datetime.fromisoformat(output["time"]).tzinfo
