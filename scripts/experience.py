"""Write the table of recipes that won in earlier runs, by which short searches order theirs.

`python scripts/experience.py [RUN…]`. RUN: folders of runs, or their run.json; by default, the runs stored with the
models.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment import experience
from danmatte_workbench.experiment.experience import Experience
from danmatte_workbench.report.records import RunRecord, read_run

STORED = Path(__file__).resolve().parents[1] / "models"


def read_stored(paths: Sequence[Path]) -> list[RunRecord]:
    """Return the runs of these paths; without paths, those among the stored measurements."""
    if paths:
        return [read_run(path) for path in paths]
    found = []
    for path in sorted(STORED.glob("*/measurements/*.json")):
        try:
            found.append(read_run(path))
        except InputError:  # a measurement of another kind
            continue
    return found


def collect(runs: Iterable[RunRecord]) -> dict[str, dict[str, Experience]]:
    """Return the experience of the runs by units and recipe.

    A recipe counts once in a run; it counts as kept if any of its trials was accepted.
    """
    table: dict[str, dict[str, Experience]] = {}
    for run in runs:
        features = run.host.get("features")
        known = table.setdefault(experience.name_units(features if isinstance(features, list | tuple) else ()), {})
        for recipe in dict.fromkeys(trial.recipe for trial in run.trials):
            mine = [trial for trial in run.trials if trial.recipe == recipe and trial.word in ("accepted", "rejected")]
            kept = [trial for trial in mine if trial.accepted]
            speeds = [figure.value for trial in kept if (figure := trial.measurements.get("speedup"))]
            before = known.get(recipe, Experience())
            if mine:
                best = max([before.speedup, *speeds])
                known[recipe] = Experience(before.kept + bool(kept), before.broken + (not kept), round(best, 1))
    return table


def main() -> None:
    """Write the table."""
    runs = read_stored([Path(word) for word in sys.argv[1:]])
    experience.write(collect(runs))
    print(f"{experience.TABLE.name}: {len(runs)} runs")


if __name__ == "__main__":
    main()
