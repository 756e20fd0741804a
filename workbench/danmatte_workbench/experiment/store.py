"""Storage between runs: candidates by the digest of their recipe, and a cache of results by the digest of their key."""

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
from danmatte_workbench.cache import write_cached
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.progress import Progress
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.recipe import Recipe
from danmatte_workbench.runtimes import openvino

ABANDONED_S = 86_400.0  # an unlocked hidden folder that is older was left by a killed build
Build = Callable[[Path], tuple[Artifact, tuple[str, ...]]]


@dataclass(frozen=True)
class Candidate:
    """A graph that was built by a recipe.

    notes: what each step did. parent: digest of the candidate or source from which it was built. seconds: duration of
    all steps.
    """

    recipe: Recipe
    digest: str
    artifact: Artifact
    notes: tuple[str, ...]
    parent: str = ""
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class CandidateStore:
    """Candidates in ``folder``/<key>/, each with its graph and notes. Writing is atomic."""

    folder: Path

    def get(self, recipe: Recipe, key: str) -> Candidate | None:
        """Return the candidate under ``key``; None if it is missing or its files were changed."""
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
        """Build a candidate in a hidden folder, move it to ``key`` atomically, and return it.

        If another process has stored the same candidate meanwhile, that one is kept. begun_s: seconds that the
        candidate took from which the build continues. Raises MachineError if the folder can't be written.
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
            unfinished.rename(self.folder / key)  # fails if another process was faster; its candidate is used
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
        """Remove hidden folders of killed builds: old ones that aren't locked by a process any more."""
        for place in self.folder.glob(".*"):
            with suppress(OSError):  # another process has just removed it
                old = place.is_dir() and time.time() - place.stat().st_mtime > ABANDONED_S
                lock = _lock(place) if old else None
                if lock is not None:
                    shutil.rmtree(place, ignore_errors=True)
                    os.close(lock)


def _lock(folder: Path) -> int | None:
    """Return an open file descriptor that holds the folder's lock until it is closed or its process ends.

    None if the folder is locked, or on a file system without locks; there nothing is removed.
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
    """A cache of results that are slow to compute, in ``folder``/<kind>/<digest>.json, each stored with its key.

    A key is plain data with everything on which the result depends. A file that can't be read counts as missing.
    """

    folder: Path

    def get(self, kind: str, key: Mapping[str, Any]) -> Any:
        """Return the cached result; None if there is none."""
        try:
            kept = json.loads(self.locate(kind, key).read_text(encoding="utf-8"))
            return kept["answer"] if kept["question"] == _to_json(key) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, kind: str, key: Mapping[str, Any], result: Any) -> None:
        """Store the result atomically. Raises MachineError if it can't be written."""
        content = json.dumps({"question": _to_json(key), "answer": result}, allow_nan=False)
        write_cached(self.locate(kind, key), content)

    def locate(self, kind: str, key: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Return the path of the result, whether it exists or not."""
        text = json.dumps(_to_json(key), sort_keys=True)
        return self.folder / kind / f"{hashlib.sha256(text.encode()).hexdigest()}{suffix}"


def _to_json(key: Mapping[str, Any]) -> Any:
    """Return the key as read back from JSON, with tuples as lists."""
    return json.loads(json.dumps(key))


@dataclass(frozen=True)
class Workspace:
    """The environment of a run: its folder for candidates and results, the limits of a trial's process, and progress.

    deadline_s: time limit in seconds since the progress started; child processes that still run then are ended.
    """

    folder: Path
    limits: ProcessLimits
    progress: Progress
    host: Host = field(default_factory=hardware.describe_host)
    deadline_s: float = math.inf

    @cached_property
    def candidates(self) -> CandidateStore:
        """The store of candidates."""
        return CandidateStore(self.folder)

    @cached_property
    def results(self) -> ResultCache:
        """The cache of results, in a subfolder of the candidates'."""
        return ResultCache(self.folder / "results")

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, at least 1."""
        return max(1.0, self.deadline_s - self.progress.seconds)

    def isolate(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        time_s: float = math.inf,
        environment: Mapping[str, str] | None = None,
        of_trial: bool = True,
    ) -> Any:
        """Run ``function(*arguments)`` in a child process and return its result.

        Its time is limited to ``time_s`` seconds and the deadline, and to a trial's time limit if ``of_trial``; the
        source isn't a trial. environment: additional environment variables. Raises the function's WorkbenchError, and
        MachineError if a limit is exceeded or the process dies.
        """
        return run_isolated(
            function,
            *arguments,
            timeout_s=min(self.limits.time_s if of_trial else math.inf, time_s, self.left_s),
            memory_gib=self.limits.memory_gib,
            environment=environment,
        )
