"""Results of recipes in stored runs, by the CPU's instruction sets for 8-bit arithmetic.

A short search tries first the recipes that are most likely to keep the budget. `scripts/experience.py` writes the table
from stored runs.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from danmatte_workbench import hardware
from danmatte_workbench.recipe import Recipe

TABLE = Path(__file__).with_name("experience.json")
UNITS = ("AMX", "VNNI")  # for 8-bit arithmetic, the best first; other CPUs use AVX2, whose sums saturate


@dataclass(frozen=True)
class Experience:
    """The number of runs in which a recipe kept or broke the budget, and its best speedup among those kept."""

    kept: int = 0
    broken: int = 0
    speedup: float = 0.0

    @property
    def sureness(self) -> float:
        """Estimated probability that it keeps the budget, with Laplace's rule: near 1/2 if there were few runs."""
        return (self.kept + 1) / (self.kept + self.broken + 2)


def name_units(features: Collection[str]) -> str:
    """Return the name of a CPU's best units for 8-bit arithmetic: one of `UNITS`, or AVX2.

    features: its instruction sets as Linux names them.
    """
    words = " ".join(features).upper()
    return next((name for name in UNITS if name in words), "AVX2")


def write(table: dict[str, dict[str, Experience]], path: Path = TABLE) -> None:
    """Write the table as JSON, sorted."""
    plain = {units: {name: asdict(item) for name, item in known.items()} for units, known in table.items()}
    path.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@cache
def read(path: Path = TABLE) -> dict[str, dict[str, Experience]]:
    """Return the table: experience by name of units and name of recipe."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    return {units: {name: Experience(**item) for name, item in known.items()} for units, known in plain.items()}


def sort_by_experience(recipes: Sequence[Recipe], features: Collection[str] | None = None) -> tuple[Recipe, ...]:
    """Return the recipes, the known ones sorted by sureness, then by speedup; unknown ones keep their positions.

    features: the CPU's instruction sets; this CPU's, if None.
    """
    known = read().get(name_units(hardware.list_instruction_sets() if features is None else features), {})
    told = [recipe for recipe in recipes if recipe.name in known]
    told.sort(key=lambda recipe: (-known[recipe.name].sureness, -known[recipe.name].speedup))
    ordered = iter(told)
    return tuple(next(ordered) if recipe.name in known else recipe for recipe in recipes)
