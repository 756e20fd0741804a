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


def test_what_is_done_is_no_longer_left() -> None:
    clock, board = Clock(), Board()
    told = Progress(board, now=clock)
    told.expect({"build": 60, "race": 60})
    with told.task("build", "building"):
        clock.seconds += 60
    assert told.left_s == 60
    assert board.lines == ["[    0 s] building (about 2 min left)"]
    assert board.bars[-1] == (0.5, "building, about 1 min left")


def test_a_machine_that_is_slower_than_expected_makes_the_rest_longer_too() -> None:
    clock = Clock()
    told = Progress(Board(), now=clock)
    told.expect({"build": 10, "race": 60})
    with told.task("build", "building"):
        clock.seconds += 20
    assert told.left_s == 120


def test_part_of_a_task_counts() -> None:
    told = Progress(Board(), now=Clock())
    told.expect({"race": 80})
    told.advance("race", 0.75)
    assert told.left_s == 20


def test_a_task_that_fails_is_over_all_the_same() -> None:
    told = Progress(Board(), now=Clock())
    told.expect({"build": 10})
    with pytest.raises(ZeroDivisionError), told.task("build", "building"):
        raise ZeroDivisionError
    assert told.left_s == 0


def test_what_will_not_be_done_any_more_takes_no_time() -> None:
    told = Progress(Board(), now=Clock())
    told.expect({"build": 10, "compare": 20})
    told.forget("compare", "what nobody expected")
    assert told.left_s == 10


def test_a_log_gets_lines_and_no_bar() -> None:
    written: list[str] = []
    told = Progress(LineDisplay(written.append))
    told.expect({"race": 80})
    told.report("hello")
    told.close()
    assert [line.split("] ")[1] for line in written] == ["hello"]


def test_a_terminal_gets_a_bar_with_the_time_left() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    shown = progress.make_display(console)
    assert isinstance(shown, LiveDisplay)
    told = Progress(shown)
    told.expect({"race": 90})
    told.report("hello [bold]you[/bold]")
    told.close()
    assert "hello [bold]you[/bold]" in screen.getvalue()
    assert "about 2 min left" in screen.getvalue()
    assert isinstance(progress.make_display(Console(file=io.StringIO())), LineDisplay)


@pytest.mark.parametrize(("seconds", "said"), [(0, "1 s"), (59, "59 s"), (240, "4 min"), (5400, "1.5 h")])
def test_a_duration_is_said_as_people_do(seconds: float, said: str) -> None:
    assert progress.format_duration(seconds) == said


@given(
    st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 1e4), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdx"), st.floats(0.0, 1e4)), max_size=8),
)
def test_what_is_left_is_never_negative_and_the_bar_never_full_before_the_end(
    expected: dict[str, float], done: list[tuple[str, float]]
) -> None:
    clock, board = Clock(), Board()
    told = Progress(board, now=clock)
    told.expect(expected)
    for name, seconds in done:
        with told.task(name, name):
            clock.seconds += seconds
        assert told.left_s >= 0
    missing = set(expected) - {name for name, _ in done}
    assert (told.left_s == 0) == (not missing)
    assert all(0 <= share <= 1 for share, _ in board.bars)


def test_one_bad_guess_changes_the_rest_threefold_at_most() -> None:
    clock = Clock()
    told = Progress(Board(), now=clock)
    told.expect({"build": 2, "race": 60})
    with told.task("build", "building"):
        clock.seconds += 200
    assert told.left_s == 180


def test_a_task_that_nobody_expected_changes_no_guess() -> None:
    clock = Clock()
    told = Progress(Board(), now=clock)
    told.expect({"race": 60})
    with told.task("surprise", "looking"):
        clock.seconds += 500
    assert (told.left_s, told.seconds) == (60, 500)


def test_what_is_expected_again_is_expected_anew() -> None:
    told = Progress(Board(), now=Clock())
    told.expect({"race": 60, "build": 10})
    told.expect({"race": 20})
    assert told.left_s == 30
