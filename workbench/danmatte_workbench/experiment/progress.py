"""How far a run is: what it does now, and the time that is left."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

MINUTE_S = 60.0
HOUR_S = 3600.0


class Display(Protocol):
    """Where a run's progress is shown."""

    def show_line(self, text: str) -> None:
        """Show what happened."""

    def show_bar(self, share: float, text: str) -> None:
        """Show that so much of the whole is done, from 0 to 1."""

    def close(self) -> None:
        """Clean up; nothing more will come."""


class Progress:
    """Tasks with the seconds that each was expected to take; those that are done take what they took.

    What is left is expected to be late or early by the same factor as what is done. started: by the clock ``now``, if
    not now.
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
        """Since the start."""
        return self._now() - self._started

    @property
    def pace(self) -> float:
        """How many times longer than expected what is done took: what is ahead should be as late, or as early."""
        pace = self._took / self._believed if self._believed > 1 else 1.0
        return min(3.0, max(1 / 3, pace))  # one bad guess must not turn minutes into hours

    @property
    def left_s(self) -> float:
        """Seconds that what isn't done may take."""
        missing = sum(seconds * (1 - self._shares.get(name, 0.0)) for name, seconds in self._expected.items())
        return missing * self.pace

    def expect(self, tasks: Mapping[str, float]) -> None:
        """Set what is ahead: seconds by name of task. Names that were expected before are expected anew."""
        self._expected.update(tasks)
        self._show("")

    def forget(self, *names: str) -> None:
        """Expect these tasks no more; those that aren't expected are none."""
        for name in names:
            self._expected.pop(name, None)

    def report(self, text: str) -> None:
        """Show a line, with the seconds since the start."""
        self._display.show_line(f"[{self.seconds:5.0f} s] {text}")

    @contextmanager
    def task(self, name: str, text: str) -> Iterator[None]:
        """Count what happens inside as the task of that name; ``text`` says what is done."""
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
        """Note that so much of the task, from 0 to 1, is done."""
        self._shares[name] = share
        self._show(name)

    def _show(self, text: str) -> None:
        left, seconds = self.left_s, self.seconds
        text = ", ".join(filter(None, (text, f"about {format_duration(left)} left" if left else "")))
        self._display.show_bar(seconds / (seconds + left) if left else 1.0, text)

    def close(self) -> None:
        """Clean up the display."""
        self._display.close()


class LineDisplay:
    """Plain lines, for logs."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def show_line(self, text: str) -> None:
        self._write(text)

    def show_bar(self, share: float, text: str) -> None:
        """Logs have none."""

    def close(self) -> None:
        """Nothing is open."""


class LiveDisplay:
    """Lines above a bar that moves, for terminals."""

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
    """The display that suits the console: a bar on terminals, lines elsewhere."""
    if console.is_terminal:
        return LiveDisplay(console)
    return LineDisplay(lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True))


def format_duration(seconds: float) -> str:
    """A duration in the unit that people would say it in: ``40 s``, ``4 min``, ``1.5 h``."""
    if seconds < MINUTE_S:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR_S:
        return f"{round(seconds / MINUTE_S)} min"
    return f"{seconds / HOUR_S:.1f} h"
