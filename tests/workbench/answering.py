"""Functions for child processes, without heavy imports, so that a new process imports them fast."""

import os
import time
from collections.abc import Callable
from typing import Any

from danmatte_workbench.errors import InputError


def make_adder(number: int) -> Callable[[int], int]:
    """Return a function that adds ``number``."""
    return lambda request: number + request


def make_variable_reader(*_: Any) -> Callable[[str], str | None]:
    """Return a function that reads a variable of the environment."""
    return os.environ.get


def make_failing(*_: Any) -> Callable[[str], Any]:
    """Return a function that exits, hangs or raises as its argument says."""

    def answer(request: Any) -> Any:
        if request == "die":
            os._exit(7)
        if request == "hang":
            time.sleep(600)
        if request == "refuse":
            raise InputError("x.xml: isn't a graph")
        return request

    return answer


def fail_at_start() -> Callable[[Any], Any]:
    """Raise InputError instead of returning a function."""
    raise InputError("y.xml: isn't a graph")


def fated(fate: str) -> Callable[[Any], Any]:
    """Return a function that exits at every call if ``fate`` is "die", otherwise as `make_failing`."""
    failing = make_failing()
    return lambda request: failing(fate if fate == "die" else request)
