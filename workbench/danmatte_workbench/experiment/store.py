"""Candidates on disk, by the digest of their recipe: what was cooked once is never cooked again."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from danmatte.contract.artifact import GRAPH
from danmatte_workbench.artifact import Artifact, digest, list_graph_files
from danmatte_workbench.errors import InputError
from danmatte_workbench.recipe import Recipe
from danmatte_workbench.runtimes import openvino

Cook = Callable[[Path], tuple[Artifact, tuple[str, ...]]]


@dataclass(frozen=True)
class Candidate:
    """A cooked recipe. ``notes`` say what each step did, ``seconds`` how long it took.

    ``parent`` is the digest of what it was made from: another candidate, or the source.
    """

    recipe: Recipe
    digest: str
    artifact: Artifact
    notes: tuple[str, ...]
    parent: str = ""
    seconds: float = field(default=0.0, compare=False)


class Store:
    """``folder``/<digest>/ with the graph and its notes; complete or absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, recipe: Recipe, key: str) -> Candidate | None:
        """The candidate under ``key``, if it is there and its files are what they were."""
        place = self._folder / key
        try:
            stored = json.loads((place / "candidate.json").read_text())
            if digest(*list_graph_files(place / GRAPH)) != stored["artifact"]:
                return None
            artifact, notes = openvino.describe(place / GRAPH), tuple(stored["notes"])
            return Candidate(recipe, key, artifact, notes, stored["parent"], stored["seconds"])
        except (OSError, ValueError, KeyError, TypeError, InputError):
            return None

    def put(self, recipe: Recipe, key: str, cook: Cook, *, parent: str = "") -> Candidate:
        """Cook into a hidden folder and move it into place, whole; what another process put there first stays."""
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
        try:
            started = time.monotonic()
            artifact, notes = cook(unfinished / GRAPH)
            seconds = time.monotonic() - started
            facts = {
                "recipe": recipe.name,
                "artifact": artifact.digest,
                "notes": notes,
                "parent": parent,
                "seconds": seconds,
            }
            (unfinished / "candidate.json").write_text(json.dumps(facts, indent=1))
            if (self._folder / key).exists() and self.get(recipe, key) is None:
                shutil.rmtree(self._folder / key)
            unfinished.rename(self._folder / key)
        except OSError:
            if self.get(recipe, key) is None:
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        found = self.get(recipe, key)
        assert found is not None, f"{key} vanished from {self._folder}"
        return found
