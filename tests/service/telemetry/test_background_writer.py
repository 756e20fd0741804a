"""The background writer writes complete lines in order, and never blocks."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from danmatte.telemetry.background_writer import BackgroundWriter

Make = Callable[..., BackgroundWriter[str]]
WHOLE_PIPE = 70_000  # bytes: more than a pipe holds, so that the thread waits for a reader


class Dropped:
    """Counts dropped lines."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


@contextmanager
def pipe(*, max_lines: int = 100) -> Iterator[tuple[BackgroundWriter[str], int, Dropped]]:
    """A writer, the other end of its pipe, and the counter of dropped lines."""
    read, write = os.pipe()
    dropped = Dropped()
    writer = BackgroundWriter(write, str.encode, name="trial", max_lines=max_lines, on_drop=dropped)
    try:
        yield writer, read, dropped
    finally:
        os.close(read)
        writer.close(timeout_s=5)
        os.close(write)


def test_flushed_lines_are_written_in_order() -> None:
    with pipe() as (writer, read, dropped):
        for number in range(9):
            writer.write(str(number))
        writer.flush(timeout_s=5)
        assert os.read(read, 1000) == b"".join(b"%d\n" % number for number in range(9))
        assert dropped.count == 0


def test_closing_writes_all_lines_and_ends_the_thread() -> None:
    with pipe() as (writer, read, _):
        writer.write("last")
        writer.close(timeout_s=5)
        assert os.read(read, 100) == b"last\n"
        assert not any(thread.name == "trial" and thread.is_alive() for thread in threading.enumerate())


def test_the_newest_lines_are_dropped_when_the_queue_is_full() -> None:
    with pipe(max_lines=3) as (writer, read, dropped):
        for number in range(10):
            writer.write(str(number) * WHOLE_PIPE)
        assert 6 <= dropped.count <= 7  # the thread may already have taken one
        seen = b""
        while seen.count(b"\n") < 10 - dropped.count:
            seen += os.read(read, 2**20)
        kept = [line[:1] for line in seen.splitlines()]
        assert kept == [b"%d" % number for number in range(10 - dropped.count)]


def test_flush_and_close_time_out_if_the_reader_does_not_read() -> None:
    with pipe(max_lines=2) as (writer, _, _):
        for _ in range(4):
            writer.write("x" * WHOLE_PIPE)
        done = threading.Event()

        def finish() -> None:
            writer.flush(timeout_s=0.01)
            writer.close(timeout_s=0.01)
            done.set()

        threading.Thread(target=finish, daemon=True).start()
        assert done.wait(10)


def test_a_line_that_cannot_be_encoded_is_dropped_and_the_next_is_written() -> None:
    with pipe() as (writer, read, dropped):
        writer.write("\udcff")
        writer.write("good")
        writer.flush(timeout_s=5)
        assert (os.read(read, 100), dropped.count) == (b"good\n", 1)


def test_lines_of_several_threads_are_not_mixed() -> None:
    with pipe(max_lines=10_000) as (writer, read, dropped):
        lines = [letter * 500 for letter in "abcdefgh"]
        threads = [threading.Thread(target=lambda line=line: [writer.write(line) for _ in range(20)]) for line in lines]
        for thread in threads:
            thread.start()
        seen = b""
        while seen.count(b"\n") < 20 * len(lines):
            seen += os.read(read, 2**16)
        assert sorted(seen.decode().splitlines()) == sorted(lines * 20)
        assert dropped.count == 0


@pytest.mark.parametrize("lines", [0, 1])
def test_a_flush_of_at_most_one_line_does_not_wait_for_its_timeout(lines: int) -> None:
    with pipe() as (writer, read, _):
        for _ in range(lines):
            writer.write("x")
        writer.flush(timeout_s=60)
        assert len(os.read(read, 10) if lines else b"") == 2 * lines
