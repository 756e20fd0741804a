"""Building of candidates from recipes, each in a child process, with a cache."""

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path

from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment.store import Candidate, CandidateStore, Workspace
from danmatte_workbench.recipe import PartialBuild, Recipe, build_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext

REFUSALS = "refusals"


@dataclass(frozen=True)
class BuildJob:
    """A recipe to build in a child process.

    keys: the keys of its beginnings (the recipes of its first 1, 2, … steps) in the store at ``folder``.
    """

    recipe: Recipe
    context: StepContext
    folder: Path
    keys: tuple[str, ...]


def build_candidate(job: BuildJob) -> Candidate:
    """Return the job's candidate, from the store or built from the longest beginning of its recipe that is stored.

    Beginnings that end with a step that uses frames are stored, too, because such steps are slow and recipes share
    them.
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
    """Build and store the recipe's candidate from ``made``, one of its beginnings, or from the source if it is None."""
    begun = PartialBuild(made.artifact.path, made.notes) if made else None
    return store.put(
        recipe,
        key,
        lambda target: build_recipe(recipe, context, target, begun),
        parent=made.digest if made else context.source.digest,
        begun_s=made.seconds if made else 0.0,
    )


@dataclass(frozen=True)
class Builder:
    """Builds candidates of ``source`` in the workspace, calibrated on the frames of ``calibration``."""

    source: Source
    calibration: Dataset
    workspace: Workspace
    _frame_digests: dict[tuple[int, bool], str] = field(default_factory=dict, init=False, compare=False, repr=False)
    _known: dict[str, Candidate] = field(default_factory=dict, init=False, compare=False, repr=False)

    def compute_key(self, recipe: Recipe) -> str:
        """Return the key of the recipe's candidate in the store.

        It depends on the recipe, on the frames that its steps use, and on their masks if the steps use them.
        """
        seen = min(recipe.frames, len(self.calibration)), recipe.uses_masks
        if seen not in self._frame_digests:
            frames = self.calibration.pick(seen[0])
            self._frame_digests[seen] = frames.compute_digest(masks=seen[1]) if recipe.frames else ""
        masks = " with masks" if recipe.uses_masks else ""
        return hashlib.sha256(f"{recipe.digest} {self._frame_digests[seen]}{masks}".encode()).hexdigest()

    def find(self, recipe: Recipe) -> Candidate | None:
        """Return the candidate if it is stored, otherwise None. Raises InputError if its recipe was refused before."""
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
        """Return the candidate of the longest stored beginning, other than the whole recipe; None if there is none."""
        parts = recipe.list_beginnings()[:-1]
        keys = ((part, self.compute_key(part)) for part in reversed(parts))
        return next((found for part, key in keys if (found := self.workspace.candidates.get(part, key))), None)

    def build(self, recipe: Recipe, *, time_s: float = math.inf) -> Candidate:
        """Build and return the candidate.

        Raises InputError for a recipe that can't be applied, MachineError for a crash or timeout.
        """
        keys = tuple(self.compute_key(part) for part in recipe.list_beginnings())
        context = StepContext(self.source, self.calibration, self.workspace.folder / "unfinished")
        job = BuildJob(recipe, context, self.workspace.folder, keys)
        try:
            candidate: Candidate = self.workspace.isolate(build_candidate, job, time_s=time_s)
        except InputError as error:
            # Refusals are cached because they are deterministic. Crashes and timeouts aren't, so they are retried.
            self.workspace.results.put(REFUSALS, {"candidate": keys[-1]}, str(error))
            raise
        self._known[keys[-1]] = candidate
        return candidate
