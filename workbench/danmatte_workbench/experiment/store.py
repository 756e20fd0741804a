"""What is kept between runs: candidates by the digest of their recipe, and answers by the digest of their question."""

import fcntl
import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from danmatte.contract.artifact import GRAPH
from danmatte.contract.measurement import Host
from danmatte_workbench import hardware
from danmatte_workbench.artifact import Artifact, digest, list_graph_files
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.progress import Progress
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.recipe import Recipe
from danmatte_workbench.runtimes import openvino

ABANDONED_S = 86_400.0  # after which a hidden folder that nobody holds is a killed build's
Build = Callable[[Path], tuple[Artifact, tuple[str, ...]]]


@dataclass(frozen=True)
class Candidate:
    """A graph that a recipe made. ``notes`` say what each step did, ``seconds`` how long all of them took.

    ``parent`` is the digest of what it was made from: another candidate, or the source.
    """

    recipe: Recipe
    digest: str
    artifact: Artifact
    notes: tuple[str, ...]
    parent: str = ""
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class CandidateStore:
    """``folder``/<digest>/ with a candidate's graph and its notes; complete or absent."""

    folder: Path

    def get(self, recipe: Recipe, key: str) -> Candidate | None:
        """The candidate under ``key``, if it is there and its files are what they were."""
        place = self.folder / key
        try:
            stored = json.loads((place / "candidate.json").read_text())
            if digest(*list_graph_files(place / GRAPH)) != stored["artifact"]:
                return None
            artifact, notes = openvino.describe(place / GRAPH), tuple(stored["notes"])
            return Candidate(recipe, key, artifact, notes, stored["parent"], stored["seconds"])
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None

    def put(self, recipe: Recipe, key: str, build: Build, *, parent: str = "", begun_s: float = 0.0) -> Candidate:
        """Build into a hidden folder and move it into place, whole; what another process put there first stays.

        begun_s: what the part took that the build goes on from. Raises MachineError where nothing can be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_abandoned()
            unfinished = Path(tempfile.mkdtemp(prefix=".", dir=self.folder))
            lock = _lock(unfinished)
        except OSError as error:
            raise MachineError(f"{self.folder}: can't be written ({error})") from error
        try:
            started = time.monotonic()
            artifact, notes = build(unfinished / GRAPH)
            facts = {
                "recipe": recipe.name,
                "artifact": artifact.digest,
                "notes": notes,
                "parent": parent,
                "seconds": begun_s + time.monotonic() - started,
            }
            (unfinished / "candidate.json").write_text(json.dumps(facts, indent=1))
            if (self.folder / key).exists() and self.get(recipe, key) is None:
                shutil.rmtree(self.folder / key)
            unfinished.rename(self.folder / key)  # fails where another process was first: its candidate is as good
        except OSError as error:
            if self.get(recipe, key) is None:
                raise MachineError(f"{self.folder}: can't be written ({error})") from error
        finally:
            if lock is not None:
                os.close(lock)
            shutil.rmtree(unfinished, ignore_errors=True)
        found = self.get(recipe, key)
        assert found is not None, f"{key} vanished from {self.folder}"
        return found

    def _remove_abandoned(self) -> None:
        """Remove hidden folders of builds that were killed: old ones whose lock nobody holds any more."""
        for place in self.folder.glob(".*"):
            with suppress(OSError):  # another process has just removed it
                old = place.is_dir() and time.time() - place.stat().st_mtime > ABANDONED_S
                lock = _lock(place) if old else None
                if lock is not None:
                    shutil.rmtree(place, ignore_errors=True)
                    os.close(lock)


def _lock(folder: Path) -> int | None:
    """An open file descriptor that holds the folder's lock until it is closed, or its process ends.

    None where another one holds it, and on file systems that have no locks: nothing is removed there.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


@dataclass(frozen=True)
class ResultCache:
    """``folder``/<kind>/<digest>.json: answers that cost something to find, each with its question.

    A question is plain data that names everything its answer depends on; what can't be read counts as never asked.
    """

    folder: Path

    def get(self, kind: str, question: Mapping[str, Any]) -> Any:
        """The answer; None when there is none."""
        try:
            kept = json.loads(self.locate(kind, question).read_text(encoding="utf-8"))
            return kept["answer"] if kept["question"] == _to_json(question) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, kind: str, question: Mapping[str, Any], answer: Any) -> None:
        """Keep the answer, whole or not at all. Raises MachineError where it can't be written."""
        path = self.locate(kind, question)
        content = json.dumps({"question": _to_json(question), "answer": answer}, allow_nan=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(prefix=".", dir=path.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
            Path(unfinished).replace(path)
        except OSError as error:
            raise MachineError(f"{path}: can't be written ({error})") from error

    def locate(self, kind: str, question: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Where the answer is or would be."""
        text = json.dumps(_to_json(question), sort_keys=True)
        return self.folder / kind / f"{hashlib.sha256(text.encode()).hexdigest()}{suffix}"


def _to_json(question: Mapping[str, Any]) -> Any:
    """The question as JSON gives it back: tuples are lists there."""
    return json.loads(json.dumps(question))


@dataclass(frozen=True)
class Workspace:
    """Where a run works: the folder that keeps candidates and results, and what each trial's process may take.

    ``progress`` hears of all that is done. deadline_s: seconds of it after which nothing is started any more, and what
    runs is ended.
    """

    folder: Path
    limits: ProcessLimits
    progress: Progress
    host: Host = field(default_factory=hardware.describe_host)
    deadline_s: float = math.inf

    @cached_property
    def candidates(self) -> CandidateStore:
        """Graphs by their recipes."""
        return CandidateStore(self.folder)

    @cached_property
    def results(self) -> ResultCache:
        """What was measured, beside the candidates."""
        return ResultCache(self.folder / "results")

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, 1 at least."""
        return max(1.0, self.deadline_s - self.progress.seconds)

    def isolate(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        time_s: float = math.inf,
        environment: Mapping[str, str] | None = None,
        of_trial: bool = True,
    ) -> Any:
        """``function(*arguments)`` in a process of its own, within ``time_s`` seconds and the deadline.

        of_trial: within the limits of a trial, too; the source itself isn't one.
        """
        return run_isolated(
            function,
            *arguments,
            timeout_s=min(self.limits.time_s if of_trial else math.inf, time_s, self.left_s),
            memory_gib=self.limits.memory_gib,
            environment=environment,
        )
