"""The application log: complete lines, without blocking."""

import json
import logging
import os
import subprocess
import sys
import time
from datetime import datetime

from danmatte.telemetry.log import BackgroundLog, _JsonFormatter


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("danmatte.x", logging.WARNING, "x.py", 1, text, None, None)


def test_lines_come_whole_and_in_order() -> None:
    read, write = os.pipe()
    book = BackgroundLog(write)
    for text in ("first", "second \udcff"):
        book.emit(record(text))
    book.flush()
    assert os.read(read, 1000) == b"WARNING danmatte.x: first\nWARNING danmatte.x: second \\udcff\n"
    book.close()
    os.close(write)
    os.close(read)


def test_a_reader_who_sleeps_costs_lines_and_no_time_and_is_told_how_many() -> None:
    read, write = os.pipe()
    book = BackgroundLog(write, max_lines=4)
    began = time.monotonic()
    for _ in range(20):
        book.emit(record("x" * 70_000))  # more than a pipe holds: the writer waits
    assert time.monotonic() - began < 1
    lost = book.dropped
    assert lost >= 15
    said = b""
    while b"missing" not in said:
        said += os.read(read, 10**6)
    assert f"{lost} lines were not read in time" in said.decode()
    os.close(read)  # the remaining lines have no reader
    book.close()
    os.close(write)


def test_a_reader_who_left_stops_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    book = BackgroundLog(write)
    book.emit(record("a"))
    book.flush()
    assert book.dropped == 1
    book.close()
    os.close(write)


def test_a_process_ends_with_its_log_written() -> None:
    code = "import logging; from danmatte.telemetry.log import log_to_errors; log_to_errors(); logging.info('the last')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert run.stderr == "INFO root: the last\n"


def test_a_line_of_json_has_time_worker_and_cause() -> None:
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
    said = json.loads(line)
    assert (said["level"], said["logger"], said["worker"]) == ("ERROR", "danmatte.x", "worker-1")
    assert said["message"] == "it failed: a\nb"
    assert "ValueError: one" in said["cause"]
    assert datetime.fromisoformat(said["time"]).tzinfo
