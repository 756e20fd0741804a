"""A short search starts with the recipes that won on such CPUs before, in descending order of success."""

from pathlib import Path

import pytest

from danmatte_workbench.experiment import experience, search
from danmatte_workbench.experiment.experience import Experience, name_units, sort_by_experience
from danmatte_workbench.experiment.search import LEVELS, SearchOptions, propose_trials
from danmatte_workbench.source import Source
from tests.architecture.sources import ROOT
from tests.workbench.facts import recipe
from tests.workbench.report import rundir

TABLE = {
    "VNNI": {
        "sure": Experience(kept=5, speedup=4.0),
        "faster": Experience(kept=5, speedup=9.0),
        "once": Experience(kept=1, speedup=30.0),
        "broken": Experience(broken=3),
    }
}


@pytest.fixture(autouse=True)
def known_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experience, "read", lambda: TABLE)


@pytest.mark.parametrize(
    ("features", "units"),
    [
        (("avx2",), "AVX2"),
        (("avx2", "avx_vnni"), "VNNI"),
        (("avx2", "avx512_vnni"), "VNNI"),
        (("avx512_vnni", "amx_int8"), "AMX"),
        ((), "AVX2"),
    ],
)
def test_a_cpu_is_classified_by_its_8_bit_units(features: tuple[str, ...], units: str) -> None:
    assert name_units(features) == units


def test_sureness_rises_with_kept_budgets_and_falls_with_broken_ones() -> None:
    surenesses = [item.sureness for item in (Experience(5), Experience(1), Experience(), Experience(0, 3))]
    assert surenesses == sorted(surenesses, reverse=True)
    assert len(set(surenesses)) == 4


def test_known_recipes_are_sorted_by_sureness_and_speed_and_new_ones_keep_their_places() -> None:
    names = ["broken", "new", "once", "sure", "faster", "last"]
    found = sort_by_experience([recipe(name=name) for name in names], ["avx512_vnni"])
    assert [item.name for item in found] == ["faster", "new", "sure", "once", "broken", "last"]


def test_on_a_cpu_without_experience_the_order_is_unchanged() -> None:
    some = tuple(recipe(name=name) for name in ("broken", "sure"))
    assert sort_by_experience(some, ["avx2"]) == some


def test_only_a_quick_search_is_sorted_by_experience(plain: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr(search, "sort_by_experience", lambda recipes: calls.append("sorted") or tuple(recipes))
    for effort, count in (("standard", 0), ("thorough", 0), ("quick", 1)):
        propose_trials(plain, LEVELS[effort], SearchOptions())  # type: ignore[index]
        assert len(calls) == count
    propose_trials(plain, LEVELS["quick"], SearchOptions(recipes=("int8", "float")))
    assert len(calls) == 1  # named recipes keep the user's order


def test_a_recipe_counts_once_per_run_and_untried_ones_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import experience as script

    def change(facts: dict[str, object]) -> None:
        facts["trials"][-1]["state"] = "not tried"  # type: ignore[index]

    run = rundir.read(change)
    (known,) = script.collect([run, run]).values()
    assert (known["int8-pruned30"].kept, known["int8-pruned30"].broken) == (2, 0)
    assert known["int8-pruned30"].speedup == 5.0
    assert "int8-mixed" not in known


def test_the_stored_table_of_experience_is_up_to_date_with_the_stored_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import experience as script

    experience.write(script.collect(script.read_stored([])), tmp_path / "table.json")
    assert (tmp_path / "table.json").read_text() == experience.TABLE.read_text(), "run: python scripts/experience.py"
