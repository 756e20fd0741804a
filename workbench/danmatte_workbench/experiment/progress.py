"""Progress of a run: the current task, and the estimated time left."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

MINUTE_S = 60.0
HOUR_S = 3600.0


class Display(Protocol):
    """An output for a run's progress."""

    def show_line(self, text: str) -> None:
        """Show a line of text."""

    def show_bar(self, share: float, text: str) -> None:
        """Show the share of the run that is done, from 0 to 1, with a text."""

    def close(self) -> None:
        """Release the output. No other method is called afterwards."""


class Progress:
    """Tracks tasks by their expected seconds, and estimates the time left.

    Estimates of tasks ahead are scaled by how much longer or shorter than expected the finished ones took. started:
    time of the start by the clock ``now``; the current time, if None.
    """

    def __init__(
        self, display: Display, *, now: Callable[[], float] = time.monotonic, started: float | None = None
    ) -> None:
        self._display = display
        self._now = now
        self._started = now() if started is None else started
        self._expected: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._took = self._believed = 0.0

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._now() - self._started

    @property
    def pace(self) -> float:
        """Actual over expected seconds of the finished tasks, from 1/3 to 3; 1 while too little is finished."""
        pace = self._took / self._believed if self._believed > 1 else 1.0
        return min(3.0, max(1 / 3, pace))  # limited, so that one wrong estimate doesn't turn minutes into hours

    @property
    def left_s(self) -> float:
        """Estimated seconds until all tasks are done."""
        missing = sum(seconds * (1 - self._shares.get(name, 0.0)) for name, seconds in self._expected.items())
        return missing * self.pace

    def expect(self, tasks: Mapping[str, float]) -> None:
        """Add tasks with their expected seconds by name. A task that was already expected gets the new value."""
        self._expected.update(tasks)
        self._show("")

    def forget(self, *names: str) -> None:
        """Remove these tasks from the expected ones; unknown names are ignored."""
        for name in names:
            self._expected.pop(name, None)

    def report(self, text: str) -> None:
        """Show a line, with the seconds since the start."""
        self._display.show_line(f"[{self.seconds:5.0f} s] {text}")

    @contextmanager
    def task(self, name: str, text: str) -> Iterator[None]:
        """Time the body of the ``with`` statement as the task of that name; ``text`` describes it to the user."""
        left = f" (about {format_duration(self.left_s)} left)" if self._expected else ""
        self.report(f"{text}{left}")
        self._show(text)
        started = self._now()
        try:
            yield
        finally:
            expected = self._expected.pop(name, 0.0)
            if expected:
                self._took += self._now() - started
                self._believed += expected
            self._show(text)

    def advance(self, name: str, share: float) -> None:
        """Set the share of the task that is done, from 0 to 1."""
        self._shares[name] = share
        self._show(name)

    def _show(self, text: str) -> None:
        left, seconds = self.left_s, self.seconds
        text = ", ".join(filter(None, (text, f"about {format_duration(left)} left" if left else "")))
        self._display.show_bar(seconds / (seconds + left) if left else 1.0, text)

    def close(self) -> None:
        """Close the display."""
        self._display.close()


class LineDisplay:
    """A display that writes plain lines, for logs."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def show_line(self, text: str) -> None:
        self._write(text)

    def show_bar(self, share: float, text: str) -> None:
        """Do nothing: logs have no bar."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class LiveDisplay:
    """A display with a progress bar below the lines, for terminals."""

    def __init__(self, console: "Console") -> None:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
        self._bar = Bar(*columns, console=console, transient=True)
        self._task = self._bar.add_task("", total=1.0)
        self._bar.start()

    def show_line(self, text: str) -> None:
        self._bar.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show_bar(self, share: float, text: str) -> None:
        self._bar.update(self._task, completed=share, description=text)

    def close(self) -> None:
        self._bar.stop()


def make_display(console: "Console") -> Display:
    """Return a display with a bar if the console is a terminal, otherwise one with plain lines."""
    if console.is_terminal:
        return LiveDisplay(console)
    return LineDisplay(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))


def format_duration(seconds: float) -> str:
    """Format a duration in the largest suitable unit: ``40 s``, ``4 min``, ``1.5 h``."""
    if seconds < MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR_S:
        return f"{round(seconds / MINUTE_S)} min"
    return f"{seconds / HOUR_S:.1f} h"
