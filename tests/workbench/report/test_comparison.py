"""Two runs side by side: what changed, what may be compared, and nothing more."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from danmatte_workbench.report import comparison_table, page
from danmatte_workbench.report.comparison import Contrast, RunComparison, compare_runs, render_comparison
from danmatte_workbench.report.records import read_run
from tests.workbench.report import reading, rundir

INT8 = "int8 throughput f32"


def compared(folder: Path, change: rundir.Change = lambda _: None) -> RunComparison:
    """The stored run and one that differs by a change."""
    a = rundir.write(folder / "a", pictures=False)
    b = rundir.write(folder / "b", change, pictures=False)
    return compare_runs(read_run(a), read_run(b))


def contrast(found: RunComparison, name: str, metric: str) -> Contrast:
    """One metric of one trial in both."""
    (match,) = [match for match in found.pairs if match.name == name]
    (item,) = [item for item in match.contrasts if item.metric == metric]
    return item


def changed(found: RunComparison) -> dict[str, tuple[str, str]]:
    """What changed, by its name."""
    return {row.what: (row.a, row.b) for row in found.rows if row.changed}


def times(factor: float) -> rundir.Change:
    """All speeds of all trials by a factor."""

    def change(facts: dict[str, Any]) -> None:
        for trial in facts["trials"]:
            for metric in ("throughput", "speedup"):
                for end in ("value", "low", "high") if metric in trial["measurements"] else ():
                    trial["measurements"][metric][end] *= factor

    return change


def test_a_run_equals_itself(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert changed(found) == {}
    assert contrast(found, INT8, "speedup").verdict == "equal"


@pytest.mark.parametrize(("factor", "said"), [(3.0, "better"), (1.02, "noise"), (0.125, "worse")])
def test_a_change_counts_once_it_leaves_the_intervals(tmp_path: Path, factor: float, said: str) -> None:
    item = contrast(compared(tmp_path, times(factor)), INT8, "speedup")
    assert item.verdict == said
    assert item.words.startswith(f"×{factor:.3g}")


def test_lower_latency_and_loss_are_better(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        figures = next(trial for trial in facts["trials"] if trial["name"] == "int8 latency f32")["measurements"]
        figures["latency"] = rundir.figure(6.0, 0.01, "ms")
        figures["iou_drop"] = rundir.figure(0.9, 0.1, "points")

    found = compared(tmp_path, change)
    assert contrast(found, "int8 latency f32", "latency").verdict == "better"
    drop = contrast(found, "int8 latency f32", "iou_drop")
    assert drop.verdict == "worse"
    assert drop.words.startswith("+0.97 [")


def test_another_host_makes_speeds_incomparable_and_leaves_accuracy(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["host"] |= {"cpu": "another", "cores": 8}
        times(9)(facts)

    found = compared(tmp_path, change)
    assert found.notices[0] == "Speeds are not comparable: different hosts (cpu, cores)."
    assert contrast(found, INT8, "throughput").verdict == contrast(found, INT8, "speedup").verdict == "incomparable"
    assert contrast(found, INT8, "iou_drop").verdict == "equal"
    assert changed(found)["Host: cpu"] == ("AMD EPYC", "another")


def test_other_data_makes_accuracy_incomparable_and_leaves_speeds(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["data"]["frames"] = 12
        times(9)(facts)

    found = compared(tmp_path, change)
    assert found.notices[0] == "Accuracy is not comparable: different data."
    assert contrast(found, INT8, "iou_drop").verdict == "incomparable"
    assert contrast(found, INT8, "speedup").verdict == "better"


def test_another_source_makes_both_incomparable(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["source"]["digest"] = "0" * 64

    found = compared(tmp_path, change)
    assert {contrast(found, INT8, metric).verdict for metric in ("speedup", "iou_drop")} == {"incomparable"}


def test_another_system_is_told_but_hinders_nothing(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["host"]["os"] = "Linux 7"
        facts["versions"]["openvino"] = "2027.0.0"
        facts["budget"]["max_iou_drop"] = 0.5

    found = compared(tmp_path, change)
    assert set(changed(found)) == {"Host: os", "Version: openvino", "Budget"}
    assert contrast(found, INT8, "speedup").verdict == "equal"
    assert "The budgets differ, so accepted means something else in each run." in found.notices


def only_one(facts: dict[str, Any]) -> None:
    """B has another winner, and a trial that A has not."""
    facts["trials"][0]["name"] = "new"
    facts["winner"] = INT8


def test_trials_of_one_run_stand_alone(tmp_path: Path) -> None:
    found = compared(tmp_path, only_one)
    assert [match.name for match in found.pairs][:2] == [INT8, "int8-pruned30 throughput f32"]
    by_name = {match.name: match for match in found.pairs}
    assert (by_name["new"].a, by_name["float latency f32"].b) == (None, None)
    assert contrast(found, "new", "speedup").verdict == "incomparable"


@pytest.mark.parametrize("width", [80, 120])
def test_the_terminal_shows_it_within_its_width(tmp_path: Path, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    comparison_table.print_comparison(compared(tmp_path, only_one), console)
    lines = console.file.getvalue().splitlines()
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert sum(line.strip().startswith("→ int8") for line in lines) == 2
    assert "…" not in text


def test_the_page_shows_it_all(tmp_path: Path) -> None:
    found = compared(tmp_path, lambda facts: (only_one(facts), facts["data"].update(frames=12)))
    shown = reading.read(page.write_page(render_comparison(found), tmp_path / "c.html"))
    told = shown.section("trials")
    assert "A: not tried; B: accepted" in told
    assert "not comparable" in told
    assert "data/people/val, 12 frames with masks" in shown.section("changed")
    assert "Linux" in shown.section("same")
    assert [notice.text for notice in shown.all("p", _class="notice")] == list(found.notices)


def test_hostile_names_command_neither_page_nor_terminal(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>[red]\x1b[2J"

    def change(facts: dict[str, Any]) -> None:
        facts["trials"][0]["name"] = facts["winner"] = name
        facts["host"]["cpu"] = facts["versions"]["openvino"] = facts["source"]["name"] = name

    found = compared(tmp_path, change)
    assert len(reading.read(page.write_page(render_comparison(found), tmp_path / "c.html")).all("script")) == 1
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    comparison_table.print_comparison(found, console)
    assert "\x1b[2J" not in console.file.getvalue()
    assert "[red]" in console.file.getvalue()
