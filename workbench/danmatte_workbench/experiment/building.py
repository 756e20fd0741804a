"""Recipes made into candidates, each in a process of its own, and none made twice."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.experiment.store import Candidate, Store
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.recipe import Draft, Recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext, refine
from danmatte_workbench.steps.base import Begun, beginnings, build

REFUSALS = "refusals"


@dataclass(frozen=True)
class Order:
    """A recipe to be cooked; ``folder`` is the store's. ``digests`` are the context's frames', by their number."""

    recipe: Recipe
    context: StepContext
    folder: Path
    digests: Mapping[int, str]

    def key(self, recipe: Recipe) -> str:
        """Where a candidate of this recipe, or of a part of it, is kept: the frames that its steps look at count."""
        looked_at = max((step.fields["frames"] for step in recipe.steps if "frames" in step.fields), default=0)
        return hashlib.sha256(f"{recipe.digest} {self.digests[looked_at] if looked_at else ''}".encode()).hexdigest()

    def kept(self) -> Candidate | None:
        """The candidate, if it was cooked before."""
        return Store(self.folder).get(self.recipe, self.key(self.recipe))


def prepare(order: Order) -> Candidate:
    """The candidate, from the store if it is there, from the longest part of its recipe that is there if it isn't."""
    recipe, context, store = order.recipe, order.context, Store(order.folder)
    parent = _parent(order, store)
    begun = Begun(parent.artifact.path, parent.notes) if parent else None
    return order.kept() or store.put(
        recipe,
        order.key(recipe),
        lambda target: build(recipe, context, target, begun),
        parent=parent.digest if parent else context.source.digest,
    )


def _parent(order: Order, store: Store) -> Candidate | None:
    """Of the candidates that this one's steps go on from, the one that most steps made."""
    shorter = beginnings(order.recipe, order.context.source)[-2::-1]
    return next((found for part in shorter if (found := store.get(part, order.key(part)))), None)


@dataclass(frozen=True)
class Cooking:
    """Where candidates are made and kept: ``folder`` is the store's, and with it ``results`` of what was refused."""

    source: Source
    calibration: Dataset
    folder: Path
    results: Results
    limits: ProcessLimits
    _digests: dict[int, str] = field(default_factory=dict, init=False, compare=False, repr=False)
    _found: dict[str, Candidate] = field(default_factory=dict, init=False, compare=False, repr=False)

    def frames(self, limit: int) -> str:
        """The digest of at most so many calibration frames, those that a step with that limit gets."""
        count = min(limit, len(self.calibration))
        if count not in self._digests:
            self._digests[count] = self.calibration.shuffled(count).digest()
        return self._digests[count]

    @property
    def _context(self) -> StepContext:
        return StepContext(self.source, self.calibration, self.folder / "unfinished")

    def order(self, draft: Draft) -> Order:
        """The draft as it is cooked here. Raises InputError for what isn't a recipe."""
        recipe = refine(draft, self.source)
        limits = {step.fields["frames"] for step in recipe.steps if "frames" in step.fields}
        digests = {limit: self.frames(limit) for limit in limits}
        return Order(recipe, self._context, self.folder, digests)

    def kept(self, order: Order) -> Candidate | None:
        """The candidate that was cooked before. Raises InputError, as it did then, for a recipe that was refused."""
        key = order.key(order.recipe)
        found = self._found.get(key) or order.kept()
        if found:
            self._found[key] = found
            return found
        refused: Any = self.results.get(REFUSALS, {"candidate": key})
        if refused is not None:
            raise InputError(str(refused))
        return None

    def cook(self, order: Order) -> Candidate:
        """The candidate. A refusal is kept as one, since it would be the same again; a crash or a time-out isn't."""
        key = order.key(order.recipe)
        try:
            candidate: Candidate = run_isolated(
                prepare, order, timeout_s=self.limits.time_s, memory_gib=self.limits.memory_gib
            )
        except InputError as error:
            self.results.put(REFUSALS, {"candidate": key}, str(error))
            raise
        self._found[key] = candidate
        return candidate
