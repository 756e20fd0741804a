"""The progress line of a track."""

import io

import pytest

from danmatte.tracks import progress
from danmatte.tracks.progress import Progress, format_progress
from danmatte.tracks.tally import Tally


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("last_ms", "start", "end_ms", "expected"),
    [
        (25_000, Tally(), 100_000, "25 %, 100 masks, 10 a second, 0:30 left"),
        (75_000, Tally(masks=80, last_ms=50_000), 100_000, "75 %, 100 masks, 2 a second, 0:10 left"),
        (104_000, Tally(), 100_000, "100 %, 100 masks, 10 a second, 0:00 left"),
        (25_000, Tally(), None, "100 masks, 10 a second"),
        (0, Tally(), 100_000, "100 masks, 10 a second"),
    ],
    ids=["middle", "resumed", "beyond the stated end", "no end known", "nothing yet"],
)
def test_the_progress_line_shows_share_speed_and_remaining_time(
    last_ms: int, start: Tally, end_ms: int | None, expected: str
) -> None:
    assert format_progress(Tally(masks=100, last_ms=last_ms), 10, start, end_ms) == expected


def test_a_terminal_shows_the_progress_line_and_finally_clears_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    stream = Terminal()
    reporter = Progress("a.mp4", Tally(), 1000, stream)
    reporter.step(Tally(masks=1, last_ms=500))
    reporter.finish()
    assert "a.mp4: 50 %" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[K")


def test_a_file_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    stream = io.StringIO()
    reporter = Progress("a.mp4", Tally(), 1000, stream)
    reporter.step(Tally(masks=1, last_ms=500))
    reporter.finish()
    assert stream.getvalue() == ""
