"""What a child process may be asked to run; light enough for a fresh process to import."""

import os
import time
from collections.abc import Callable
from typing import Any

from danmatte_workbench.errors import InputError


def adding(number: int) -> Callable[[int], int]:
    """Answers with the sum."""
    return lambda question: number + question


def naming(*_: Any) -> Callable[[str], str | None]:
    """Answers with a variable of its environment."""
    return os.environ.get


def ailing(*_: Any) -> Callable[[str], Any]:
    """Does what it is told to, however bad for it."""

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
    """Doesn't even begin."""
    raise InputError("y.xml: isn't a graph")


def fated(fate: str) -> Callable[[Any], Any]:
    """Does the same whatever it is asked: dies, or says it back."""
    ill = ailing()
    return lambda question: ill(fate if fate == "die" else question)
