"""What has won before: recipes that kept budgets in stored runs, by what such a CPU has for 8 bits.

A short search tries the surest of them first. `scripts/experience.py` makes the table of stored runs.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from danmatte_workbench import hardware
from danmatte_workbench.recipe import Recipe

TABLE = Path(__file__).with_name("experience.json")
UNITS = ("AMX", "VNNI")  # for 8 bits, the best first; CPUs without have AVX2's sums, which saturate


@dataclass(frozen=True)
class Experience:
    """In how many runs a recipe kept the budget, in how many it broke it, and the best speedup where it kept it."""

    kept: int = 0
    broken: int = 0
    speedup: float = 0.0

    @property
    def sureness(self) -> float:
        """The share of runs in which it should keep the budget: nearer to a half, the fewer there were."""
        return (self.kept + 1) / (self.kept + self.broken + 2)


def name_units(features: Collection[str]) -> str:
    """The units for 8 bits of a CPU with these instruction sets, as the kernel names them."""
    words = " ".join(features).upper()
    return next((name for name in UNITS if name in words), "AVX2")


def write(table: dict[str, dict[str, Experience]], path: Path = TABLE) -> None:
    """Write the table as JSON, sorted."""
    plain = {units: {name: asdict(item) for name, item in known.items()} for units, known in table.items()}
    path.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@cache
def read(path: Path = TABLE) -> dict[str, dict[str, Experience]]:
    """The table."""
    plain = json.loads(path.read_text(encoding="utf-8"))
    return {units: {name: Experience(**item) for name, item in known.items()} for units, known in plain.items()}


def sort_by_experience(recipes: Sequence[Recipe], features: Collection[str] | None = None) -> tuple[Recipe, ...]:
    """The recipes, those known on such a CPU in order of sureness, then of speed; others keep their places.

    features: of the CPU; this one's, if None.
    """
    known = read().get(name_units(hardware.list_instruction_sets() if features is None else features), {})
    told = [recipe for recipe in recipes if recipe.name in known]
    told.sort(key=lambda recipe: (-known[recipe.name].sureness, -known[recipe.name].speedup))
    ordered = iter(told)
    return tuple(next(ordered) if recipe.name in known else recipe for recipe in recipes)
