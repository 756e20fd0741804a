"""Functions for child processes, without heavy imports, so that a new process imports them fast."""

import os
import time
from collections.abc import Callable
from typing import Any

from danmatte_workbench.errors import InputError


def adding(number: int) -> Callable[[int], int]:
    """Return a function that adds ``number``."""
    return lambda question: number + question


def naming(*_: Any) -> Callable[[str], str | None]:
    """Return a function that reads a variable of the environment."""
    return os.environ.get


def ailing(*_: Any) -> Callable[[str], Any]:
    """Return a function that exits, hangs or raises as its argument says."""

    def answer(question: Any) -> Any:
        if question == "die":
            os._exit(7)
        if question == "hang":
            time.sleep(600)
        if question == "refuse":
            raise InputError("x.xml: isn't a graph")
        return question

    return answer


def refusing() -> Callable[[Any], Any]:
    """Raise InputError instead of returning a function."""
    raise InputError("y.xml: isn't a graph")


def fated(fate: str) -> Callable[[Any], Any]:
    """Return a function that exits at every call if ``fate`` is "die", otherwise as `ailing`."""
    ill = ailing()
    return lambda question: ill(fate if fate == "die" else question)
