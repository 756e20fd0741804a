"""Progress of a run, and the time left."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from danmatte_workbench.experiment import progress
from danmatte_workbench.experiment.progress import LineDisplay, LiveDisplay, Progress
from tests.workbench.facts import Clock


class Board:
    """A display that records its calls."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.bars: list[tuple[float, str]] = []

    def show_line(self, text: str) -> None:
        self.lines.append(text)

    def show_bar(self, share: float, text: str) -> None:
        self.bars.append((share, text))

    def close(self) -> None:
        self.lines.append("closed")


def test_a_finished_task_no_longer_counts_as_time_left() -> None:
    clock, board = Clock(), Board()
    tracker = Progress(board, now=clock)
    tracker.expect({"build": 60, "race": 60})
    with tracker.task("build", "building"):
        clock.seconds += 60
    assert tracker.left_s == 60
    assert board.lines == ["[    0 s] building (about 2 min left)"]
    assert board.bars[-1] == (0.5, "building, about 1 min left")


def test_a_task_that_takes_longer_than_expected_lengthens_the_rest() -> None:
    clock = Clock()
    tracker = Progress(Board(), now=clock)
    tracker.expect({"build": 10, "race": 60})
    with tracker.task("build", "building"):
        clock.seconds += 20
    assert tracker.left_s == 120


def test_progress_within_a_task_reduces_the_time_left() -> None:
    tracker = Progress(Board(), now=Clock())
    tracker.expect({"race": 80})
    tracker.advance("race", 0.75)
    assert tracker.left_s == 20


def test_a_failed_task_counts_as_finished() -> None:
    tracker = Progress(Board(), now=Clock())
    tracker.expect({"build": 10})
    with pytest.raises(ZeroDivisionError), tracker.task("build", "building"):
        raise ZeroDivisionError
    assert tracker.left_s == 0


def test_forgotten_tasks_take_no_time() -> None:
    tracker = Progress(Board(), now=Clock())
    tracker.expect({"build": 10, "compare": 20})
    tracker.forget("compare", "unexpected")
    assert tracker.left_s == 10


def test_a_log_gets_lines_and_no_bar() -> None:
    written: list[str] = []
    tracker = Progress(LineDisplay(written.append))
    tracker.expect({"race": 80})
    tracker.report("hello")
    tracker.close()
    assert [line.split("] ")[1] for line in written] == ["hello"]


def test_a_terminal_gets_a_bar_with_the_time_left() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    shown = progress.make_display(console)
    assert isinstance(shown, LiveDisplay)
    tracker = Progress(shown)
    tracker.expect({"race": 90})
    tracker.report("hello [bold]you[/bold]")
    tracker.close()
    assert "hello [bold]you[/bold]" in screen.getvalue()
    assert "about 2 min left" in screen.getvalue()
    assert isinstance(progress.make_display(Console(file=io.StringIO())), LineDisplay)


@pytest.mark.parametrize(("seconds", "text"), [(0, "1 s"), (59, "59 s"), (240, "4 min"), (5400, "1.5 h")])
def test_a_duration_is_formatted_in_a_suitable_unit(seconds: float, text: str) -> None:
    assert progress.format_duration(seconds) == text


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 1e4), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdx"), st.floats(0.0, 1e4)), max_size=8),
)
def test_the_time_left_is_never_negative_and_zero_only_after_all_tasks(
    expected: dict[str, float], done: list[tuple[str, float]]
) -> None:
    clock, board = Clock(), Board()
    tracker = Progress(board, now=clock)
    tracker.expect(expected)
    for name, seconds in done:
        with tracker.task(name, name):
            clock.seconds += seconds
        assert tracker.left_s >= 0
    missing = set(expected) - {name for name, _ in done}
    assert (tracker.left_s == 0) == (not missing)
    assert all(0 <= share <= 1 for share, _ in board.bars)


def test_one_wrong_estimate_scales_the_time_left_at_most_threefold() -> None:
    clock = Clock()
    tracker = Progress(Board(), now=clock)
    tracker.expect({"build": 2, "race": 60})
    with tracker.task("build", "building"):
        clock.seconds += 200
    assert tracker.left_s == 180


def test_an_unexpected_task_does_not_change_the_estimates() -> None:
    clock = Clock()
    tracker = Progress(Board(), now=clock)
    tracker.expect({"race": 60})
    with tracker.task("surprise", "looking"):
        clock.seconds += 500
    assert (tracker.left_s, tracker.seconds) == (60, 500)


def test_a_new_estimate_of_a_task_replaces_the_old_one() -> None:
    tracker = Progress(Board(), now=Clock())
    tracker.expect({"race": 60, "build": 10})
    tracker.expect({"race": 20})
    assert tracker.left_s == 30
