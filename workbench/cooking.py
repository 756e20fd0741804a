"""Recipes made into candidates, each in a process of its own, and none made twice."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.dataset import Dataset
from workbench.errors import InputError
from workbench.leash import Limits
from workbench.recipe import Draft
from workbench.results import Results
from workbench.source import Source
from workbench.steps import Kitchen, refine
from workbench.store import Candidate
from workbench.trial import Order, isolated, prepare

REFUSALS = "refusals"


@dataclass(frozen=True)
class Cooking:
    """Where candidates are made and kept: ``folder`` is the store's, and with it ``results`` of what was refused."""

    source: Source
    calibration: Dataset
    folder: Path
    results: Results
    limits: Limits
    _digests: dict[int, str] = field(default_factory=dict, init=False, compare=False, repr=False)
    _found: dict[str, Candidate] = field(default_factory=dict, init=False, compare=False, repr=False)

    def frames(self, limit: int) -> str:
        """The digest of at most so many calibration frames, those that a step with that limit gets."""
        count = min(limit, len(self.calibration))
        if count not in self._digests:
            self._digests[count] = self.calibration.shuffled(count).digest()
        return self._digests[count]

    @property
    def _kitchen(self) -> Kitchen:
        return Kitchen(self.source, self.calibration, self.folder / "unfinished")

    def order(self, draft: Draft) -> Order:
        """The draft as it is cooked here. Raises InputError for what isn't a recipe."""
        recipe = refine(draft, self.source)
        limits = {step.fields["frames"] for step in recipe.steps if "frames" in step.fields}
        digests = {limit: self.frames(limit) for limit in limits}
        return Order(recipe, self._kitchen, self.folder, digests)

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
            candidate: Candidate = isolated(
                prepare, order, timeout_s=self.limits.time_s, memory_gib=self.limits.memory_gib
            )
        except InputError as error:
            self.results.put(REFUSALS, {"candidate": key}, str(error))
            raise
        self._found[key] = candidate
        return candidate
