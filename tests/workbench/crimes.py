"""Harmful behaviour of child processes; functions are at top level, so that a new process can import them."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from danmatte.contract.configuration import Configuration
from danmatte.contract.framing import Framing
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import BudgetError, InputError
from danmatte_workbench.processes.child import run_isolated

SMALL, USUAL = Framing((4, 4)), configure()


def doubled(number: int) -> int:
    """Return twice the number, as a harmless example."""
    return 2 * number


def pid() -> int:
    return os.getpid()


def leave(code: int) -> None:
    os._exit(code)


def be_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang() -> None:
    time.sleep(600)


def refuse() -> None:
    raise InputError("data/x.png: isn't a picture")


def overspend() -> None:
    raise BudgetError("nothing met the budget")


def stumble() -> None:
    raise ZeroDivisionError("a bug")


def give_a_lambda() -> object:
    return lambda: None


@dataclass(frozen=True)
class Sleeper:
    """A subject that takes ``delay_s`` per picture and appends its name to ``diary``; ``ill``: how it fails."""

    name: str
    delay_s: float = 0.001
    diary: Path | None = None
    ill: str = ""
    sizes: Path | None = None
    engine: str = "tensorflow"
    path: Path = Path("x.pb")
    grid: None = None
    onednn: bool = True
    framing: Framing = SMALL
    person: int = 1
    configuration: Configuration = USUAL
    canvas: tuple[int, int] | None = None
    digest: str = ""

    @property
    def identity(self) -> dict[str, object]:
        """Return what its outputs depend on."""
        return {"graph": self.name * 8, "person": self.person}

    def frame_picture(self, pixels: np.ndarray) -> np.ndarray:
        """Return the frame at the framing's size."""
        return self.framing.fit_exactly(pixels)

    def resize_picture(self, picture: np.ndarray) -> np.ndarray:
        """Return the picture unchanged."""
        return picture

    def load(self):
        """Return a function to run, which may fail as ``ill`` says."""
        if self.ill == "refuses":
            raise InputError("x.pb: isn't a graph")
        return self._run

    def _run(self, picture: np.ndarray) -> np.ndarray:
        time.sleep(self.delay_s)
        if self.ill == "dies":
            os._exit(7)
        if self.ill == "hangs":
            time.sleep(600)
        if self.ill == "hoards":
            hoard(1.0)
        if self.sizes:
            with self.sizes.open("a") as file:
                file.write(f"{picture.shape};")
        if self.diary:
            with self.diary.open("a") as file:
                file.write(self.name)
        return picture


def turns(diary: Path) -> str:
    """Return the names of the subjects that ran, in order, without repetitions."""
    kept = ""
    for name in diary.read_text():
        kept += name if not kept.endswith(name) else ""
    return kept


def hoard(gib: float) -> None:
    """Allocate ``gib`` GiB of memory and keep it."""
    hoarded = np.ones(int(gib * (1 << 27)))
    time.sleep(600)
    del hoarded


def note_pid_and_hang(place: Path) -> None:
    """Start a child process, write both ids to ``place``, and hang."""
    child = subprocess.Popen(["sleep", "600"])
    part = place.with_suffix(".part")
    part.write_text(f"{os.getpid()} {child.pid}")
    part.replace(place)
    time.sleep(600)


def keep_a_child(place: Path) -> None:
    """Run a child that hangs, and wait for it."""
    run_isolated(note_pid_and_hang, place, timeout_s=600)
