"""A process of its own that answers one question after another: what crashes or hangs there is named here.

    with Child("float", start, path, environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}) as child:
        answer = child.ask(question, timeout_s=60)

``start(*arguments)`` runs in the child, once, and gives the function that answers. Both it and its arguments are
unpickled after the environment is set, so that a library that reads it when it loads sees it.
"""

import math
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Self

from danmatte_workbench.errors import MachineError, WorkbenchError
from danmatte_workbench.processes.limits import ProcessLimits, end, end_with_parent, receive

Answer = Callable[[Any], Any]


class Child:
    """Idle until asked. What hangs has to be closed, as everything has; with its parent it ends by itself."""

    def __init__(
        self, name: str, start: Callable[..., Answer], *arguments: Any, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        # What the child makes for a while lies in a folder of its own: one that is killed can't take it away.
        self._temporary = tempfile.mkdtemp(prefix="workbench-")
        environment = {"TMPDIR": self._temporary, **(environment or {})}
        self._pipe, theirs = multiprocessing.Pipe()
        # Spawned, never forked: TensorFlow and OpenVINO don't survive a fork of their threads.
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(theirs, environment), daemon=True)
        self._process.start()
        theirs.close()
        with suppress(BrokenPipeError):  # one that has died already is reported when it is asked
            self._pipe.send((start, arguments))

    def ask(self, question: Any, *, timeout_s: float, memory_gib: float = math.inf) -> Any:
        """The answer. Raises the child's own WorkbenchError, and MachineError when it dies, hangs or takes too much."""
        limits = ProcessLimits(timeout_s, memory_gib)
        try:
            self._pipe.send(question)
            answer = receive(self._pipe, self._process, limits, self.name)
        except (EOFError, OSError) as error:
            self._process.join(1)
            raise MachineError(f"{self.name}: its process died (exit code {self._process.exitcode})") from error
        if isinstance(answer, WorkbenchError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, which may have ended already, and remove its temporary files."""
        self._pipe.close()
        end(self._process)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _serve(pipe: Connection, environment: dict[str, str]) -> None:
    """The child's life: start, then answer until the parent hangs up."""
    end_with_parent()
    os.environ.update(environment)

    def answer(question: Any) -> Any:
        # A WorkbenchError is an answer, and ends nothing; anything else is a bug, and ends the process.
        try:
            return refusal if refusal else run(question)
        except WorkbenchError as error:
            return error

    try:
        start, arguments = pipe.recv()
        run: Answer = str
        refusal: WorkbenchError | None = None
        try:
            run = start(*arguments)
        except WorkbenchError as error:
            refusal = error  # whoever asks is told why it couldn't be started
        while True:
            pipe.send(answer(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return


def run_isolated(
    function: Callable[..., Any],
    *arguments: Any,
    timeout_s: float,
    memory_gib: float = math.inf,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """``function(*arguments)`` in a fresh process with more ``environment``; its WorkbenchError comes back as it was.

    Raises MachineError when the process dies, or takes more time or memory than it may.
    """
    limits = ProcessLimits(timeout_s, memory_gib)
    with Child(function.__name__, _answer_once, function, arguments, environment=environment) as child:
        return child.ask(None, timeout_s=limits.time_s, memory_gib=limits.memory_gib)


def _answer_once(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    return lambda _: function(*arguments)
