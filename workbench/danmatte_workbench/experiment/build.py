"""Recipes made into candidates, each in a process of its own, and none made twice."""

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment.store import Candidate, CandidateStore, Workspace
from danmatte_workbench.recipe import Begun, Recipe, build_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext

REFUSALS = "refusals"


@dataclass(frozen=True)
class BuildJob:
    """A recipe to be built in a child process; ``keys`` are those of its beginnings in the store at ``folder``."""

    recipe: Recipe
    context: StepContext
    folder: Path
    keys: tuple[str, ...]


def build_candidate(job: BuildJob) -> Candidate:
    """The candidate, made from the longest part of its recipe that is in the store, unless it is there itself.

    Parts that end with a step that looks at frames are put there, too: such steps take long, and recipes share them.
    """
    store = CandidateStore(job.folder)
    parts = list(zip(job.recipe.list_beginnings(), job.keys, strict=True))
    place, made = next(
        ((place, found) for place in range(len(parts), 0, -1) if (found := store.get(*parts[place - 1]))), (0, None)
    )
    for recipe, key in parts[place:]:
        if recipe is parts[-1][0] or "frames" in recipe.steps[-1].fields:
            made = _continue_from(made, store, recipe, key, job.context)
    assert made is not None
    return made


def _continue_from(
    made: Candidate | None, store: CandidateStore, recipe: Recipe, key: str, context: StepContext
) -> Candidate:
    """The recipe's candidate, from one that is its beginning, or from the source."""
    begun = Begun(made.artifact.path, made.notes) if made else None
    return store.put(
        recipe,
        key,
        lambda target: build_recipe(recipe, context, target, begun),
        parent=made.digest if made else context.source.digest,
        begun_s=made.seconds if made else 0.0,
    )


@dataclass(frozen=True)
class Builder:
    """Makes candidates of ``source`` in the workspace, calibrated on the frames of ``calibration``."""

    source: Source
    calibration: Dataset
    workspace: Workspace
    _frame_digests: dict[tuple[int, bool], str] = field(default_factory=dict, init=False, compare=False, repr=False)
    _known: dict[str, Candidate] = field(default_factory=dict, init=False, compare=False, repr=False)

    def compute_key(self, recipe: Recipe) -> str:
        """Where the recipe's candidate is kept: beside the recipe, the frames that its steps look at count, and their
        masks where they look at those.
        """
        seen = min(recipe.frames, len(self.calibration)), recipe.looks_at_masks
        if seen not in self._frame_digests:
            frames = self.calibration.pick(seen[0])
            self._frame_digests[seen] = frames.compute_digest(masks=seen[1]) if recipe.frames else ""
        masks = " with masks" if recipe.looks_at_masks else ""
        return hashlib.sha256(f"{recipe.digest} {self._frame_digests[seen]}{masks}".encode()).hexdigest()

    def find(self, recipe: Recipe) -> Candidate | None:
        """The candidate, if it was built before. Raises InputError, as it did then, for a recipe that was refused."""
        key = self.compute_key(recipe)
        found = self._known.get(key) or self.workspace.candidates.get(recipe, key)
        if found:
            self._known[key] = found
            return found
        refusal = self.workspace.results.get(REFUSALS, {"candidate": key})
        if refusal is not None:
            raise InputError(str(refusal))
        return None

    def find_beginning(self, recipe: Recipe) -> Candidate | None:
        """The longest part of the recipe, short of all of it, that was built before."""
        parts = recipe.list_beginnings()[:-1]
        keys = ((part, self.compute_key(part)) for part in reversed(parts))
        return next((found for part, key in keys if (found := self.workspace.candidates.get(part, key))), None)

    def build(self, recipe: Recipe, *, time_s: float = math.inf) -> Candidate:
        """The candidate. Raises InputError for a recipe that can't be applied, MachineError for a crash or time-out."""
        keys = tuple(self.compute_key(part) for part in recipe.list_beginnings())
        context = StepContext(self.source, self.calibration, self.workspace.folder / "unfinished")
        job = BuildJob(recipe, context, self.workspace.folder, keys)
        try:
            candidate: Candidate = self.workspace.isolate(build_candidate, job, time_s=time_s)
        except InputError as error:
            # A refusal would be the same again; after a crash or a time-out it is worth another try.
            self.workspace.results.put(REFUSALS, {"candidate": keys[-1]}, str(error))
            raise
        self._known[keys[-1]] = candidate
        return candidate
