"""A child process that serves requests one after another; crashes and timeouts raise an error with its name.

    with Child("float", start, path, environment={"ONEDNN_MAX_CPU_ISA": "AVX2"}) as child:
        answer = child.ask(question, timeout_s=60)

``start(*arguments)`` is called once in the child and returns the function that handles requests. It and its arguments
are unpickled after the environment is set, because some libraries read the environment when they are imported.
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
    """A process that is idle until a request arrives. It must be closed. If the parent ends, it ends as well."""

    def __init__(
        self, name: str, start: Callable[..., Answer], *arguments: Any, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        # The child's temporary files are in a separate folder, because a killed child can't remove them.
        self._temporary = tempfile.mkdtemp(prefix="workbench-")
        environment = {"TMPDIR": self._temporary, **(environment or {})}
        self._pipe, theirs = multiprocessing.Pipe()
        # Spawned, never forked, because the threads of TensorFlow and OpenVINO don't survive a fork.
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(theirs, environment), daemon=True)
        self._process.start()
        theirs.close()
        with suppress(BrokenPipeError):  # a dead child is reported by the first request
            self._pipe.send((start, arguments))

    def ask(self, question: Any, *, timeout_s: float, memory_gib: float = math.inf) -> Any:
        """Send a request and return the response.

        Raises the WorkbenchError that was raised in the child, and MachineError if the child dies, times out or uses
        too much memory.
        """
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
    """Run the child: start, then handle requests until the parent closes the pipe."""
    end_with_parent()
    os.environ.update(environment)

    def answer(question: Any) -> Any:
        # A WorkbenchError is sent as a response. Any other exception is a bug and ends the process.
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
            refusal = error  # sent as the response to every request
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
    """Return ``function(*arguments)``, called in a new process with the additional ``environment``.

    Raises the function's WorkbenchError, and MachineError if the process dies or exceeds its time or memory.
    """
    limits = ProcessLimits(timeout_s, memory_gib)
    with Child(function.__name__, _answer_once, function, arguments, environment=environment) as child:
        return child.ask(None, timeout_s=limits.time_s, memory_gib=limits.memory_gib)


def _answer_once(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Answer:
    return lambda _: function(*arguments)
