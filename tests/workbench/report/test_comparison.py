"""The comparison of two runs: what changed, and what is comparable."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from rich.console import Console

from danmatte_workbench.report import comparison, comparison_table, page
from danmatte_workbench.report.comparison import Contrast, RunComparison, compare_runs, render_comparison
from danmatte_workbench.report.records import ConfirmationRecord, Figure, TrialRecord, read_run
from tests.workbench.report import places, reading, rundir

INT8 = "int8 throughput f32"


def compare(folder: Path, change: rundir.Change = lambda _: None) -> RunComparison:
    """Return the comparison of the stored run with a changed one."""
    a = rundir.write(folder / "a", pictures=False)
    b = rundir.write(folder / "b", change, pictures=False)
    return compare_runs(read_run(a), read_run(b))


def contrast(found: RunComparison, name: str, metric: str) -> Contrast:
    """Return the contrast of one metric of one trial."""
    (match,) = [match for match in found.pairs if match.name == name]
    (item,) = [item for item in match.contrasts if item.metric == metric]
    return item


def list_changed(found: RunComparison) -> dict[str, tuple[str, str]]:
    """Return the changed facts by name."""
    return {row.what: (row.a, row.b) for row in found.rows if row.changed}


def times(factor: float) -> rundir.Change:
    """Multiply all speeds of all trials."""

    def change(facts: dict[str, Any]) -> None:
        for trial in facts["trials"]:
            for metric in ("throughput", "speedup"):
                for end in ("value", "low", "high") if metric in trial["measurements"] else ():
                    trial["measurements"][metric][end] *= factor

    return change


def test_a_run_equals_itself(tmp_path: Path) -> None:
    found = compare(tmp_path)
    assert list_changed(found) == {}
    assert contrast(found, INT8, "speedup").verdict == "equal"


@pytest.mark.parametrize(("factor", "verdict"), [(3.0, "better"), (1.02, "noise"), (0.125, "worse")])
def test_a_change_counts_only_outside_the_intervals(tmp_path: Path, factor: float, verdict: str) -> None:
    item = contrast(compare(tmp_path, times(factor)), INT8, "speedup")
    assert item.verdict == verdict
    assert item.words.startswith(f"×{factor:.3g}")


def test_a_lower_latency_is_better_and_a_higher_loss_worse(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        figures = next(trial for trial in facts["trials"] if trial["name"] == "int8 latency f32")["measurements"]
        figures["latency"] = rundir.figure(6.0, 0.01, "ms")
        figures["iou_drop"] = rundir.figure(0.9, 0.1, "points")

    found = compare(tmp_path, change)
    assert contrast(found, "int8 latency f32", "latency").verdict == "better"
    drop = contrast(found, "int8 latency f32", "iou_drop")
    assert drop.verdict == "worse"
    assert drop.words.startswith("+0.97 [")


def test_on_different_hosts_only_accuracy_is_comparable(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["host"] |= {"cpu": "another", "cores": 8}
        times(9)(facts)

    found = compare(tmp_path, change)
    assert found.notices[0] == "Speeds are not comparable: different hosts (cpu, cores)."
    assert contrast(found, INT8, "throughput").verdict == contrast(found, INT8, "speedup").verdict == "incomparable"
    assert contrast(found, INT8, "iou_drop").verdict == "equal"
    assert list_changed(found)["Host: cpu"] == ("AMD EPYC", "another")


def test_on_different_data_only_speeds_are_comparable(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["data"]["frames"] = 12
        times(9)(facts)

    found = compare(tmp_path, change)
    assert found.notices[0] == "Accuracy is not comparable: different data."
    assert contrast(found, INT8, "iou_drop").verdict == "incomparable"
    assert contrast(found, INT8, "speedup").verdict == "better"


def test_with_different_sources_neither_speeds_nor_accuracy_are_comparable(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["source"]["digest"] = "0" * 64

    found = compare(tmp_path, change)
    assert {contrast(found, INT8, metric).verdict for metric in ("speedup", "iou_drop")} == {"incomparable"}


def test_different_systems_versions_and_budgets_are_reported_but_comparable(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["host"]["os"] = "Linux 7"
        facts["versions"]["openvino"] = "2027.0.0"
        facts["budget"]["max_iou_drop"] = 0.5

    found = compare(tmp_path, change)
    assert set(list_changed(found)) == {"Host: os", "Version: openvino", "Budget"}
    assert contrast(found, INT8, "speedup").verdict == "equal"
    assert "The budgets differ, so trials were not accepted by the same limits." in found.notices


def only_one(facts: dict[str, Any]) -> None:
    """Give B a different winner, and a trial that A doesn't have."""
    facts["trials"][0]["name"] = "new"
    facts["winner"] = INT8


def test_a_trial_of_only_one_run_is_listed_without_a_counterpart(tmp_path: Path) -> None:
    found = compare(tmp_path, only_one)
    assert [match.name for match in found.pairs][:2] == [INT8, "int8-pruned30 throughput f32"]
    by_name = {match.name: match for match in found.pairs}
    assert (by_name["new"].a, by_name["float latency f32"].b) == (None, None)
    assert contrast(found, "new", "speedup").verdict == "incomparable"


@pytest.mark.parametrize("width", [80, 120])
def test_a_printed_comparison_fits_the_width_of_the_terminal(tmp_path: Path, width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    comparison_table.print_comparison(compare(tmp_path, only_one), console)
    lines = console.file.getvalue().splitlines()
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    assert sum(line.strip().startswith("→ int8") for line in lines) == 2
    assert "…" not in text


def test_the_page_shows_states_changes_and_notices(tmp_path: Path) -> None:
    found = compare(tmp_path, lambda facts: (only_one(facts), facts["data"].update(frames=12)))
    shown = reading.read(page.write_page(render_comparison(found), tmp_path / "c.html"))
    trials = shown.section("trials")
    assert "A: not tried; B: accepted" in trials
    assert "not comparable" in trials
    assert "data/people/val, 12 frames with masks" in shown.section("changed")
    assert "Linux" in shown.section("same")
    assert [notice.text for notice in shown.all("p", _class="notice")] == list(found.notices)


def test_hostile_names_are_escaped_on_the_page_and_the_terminal(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>[red]\x1b[2J"

    def change(facts: dict[str, Any]) -> None:
        facts["trials"][0]["name"] = facts["winner"] = name
        facts["host"]["cpu"] = facts["versions"]["openvino"] = facts["source"]["name"] = name

    found = compare(tmp_path, change)
    assert len(reading.read(page.write_page(render_comparison(found), tmp_path / "c.html")).all("script")) == 1
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system=None)
    comparison_table.print_comparison(found, console)
    assert "\x1b[2J" not in console.file.getvalue()
    assert "[red]" in console.file.getvalue()


# Verdicts


def trial(**figures: Figure) -> TrialRecord:
    """Return a trial with these figures."""
    return TrialRecord(
        name="t", recipe="r", digest=None, notes=(), configuration={}, measurements=figures, accepted=True, broken=()
    )


def judge(
    metric: str, a: tuple[float, float, float], b: tuple[float, float, float], *, comparable: bool = True
) -> Contrast:
    """Return the contrast of two figures, each a value with its interval."""
    one, other = (trial(**{metric: Figure(*ends, "u", 9)}) for ends in (a, b))
    return comparison.contrast(metric, one, other, comparable)


@pytest.mark.parametrize(
    ("metric", "a", "b", "verdict", "words"),
    [
        ("speedup", (2, 1.5, 2.5), (4, 3, 5), "better", "×2.00 [1.20 … 3.33]"),
        ("speedup", (4, 3, 5), (2, 1.5, 2.5), "worse", "×0.500 [0.300 … 0.833]"),
        ("latency", (4, 3, 5), (2, 1.5, 2.5), "better", "×0.500 [0.300 … 0.833]"),
        ("size_bytes", (2, 2, 2), (4, 4, 4), "worse", "×2.00 [2.00 … 2.00]"),
        ("throughput", (2, 1, 3), (2.5, 2, 3), "noise", "×1.25 [0.667 … 3.00]"),
        ("iou_drop", (0.5, 0.4, 0.6), (1.5, 1.4, 1.6), "worse", "+1.00 [+0.80 … +1.20]"),
        ("iou_drop", (1.5, 1.4, 1.6), (-0.5, -0.6, -0.4), "better", "−2.00 [−2.20 … −1.80]"),
        ("disagreement", (1, 0.5, 1.5), (1.001, 0.5, 1.5), "noise", "0.00 [−1.00 … +1.00]"),
        ("throughput", (2, 1, 3), (2, 1, 3), "equal", "the same"),
        ("iou_drop", (0, 0, 0), (0, 0, 0), "equal", "the same"),
        ("throughput", (2, 0, 3), (4, 3, 5), "incomparable", "not comparable"),
        ("throughput", (4, 3, 5), (2, -1, 3), "incomparable", "not comparable"),
    ],
)
def test_a_change_is_judged_by_both_intervals(
    metric: str, a: tuple[float, float, float], b: tuple[float, float, float], verdict: str, words: str
) -> None:
    found = judge(metric, a, b)
    assert (found.verdict, found.words) == (verdict, words)


def test_a_loss_confirmed_in_only_one_run_is_compared_on_the_choosing_frames() -> None:
    """Losses on confirming and on choosing frames differ, even if nothing changed."""
    chosen, confirmed = Figure(0.1, 0.0, 0.2, "points", 80), Figure(0.9, 0.7, 1.1, "points", 160)
    confirmation = ConfirmationRecord(160, 1, 0.975, False, {"iou_drop": chosen})
    winner = structs.replace(trial(iou_drop=confirmed), confirmation=confirmation)
    other = trial(iou_drop=Figure(0.1, 0.0, 0.2, "points", 80))
    assert comparison.contrast("iou_drop", winner, other, True).verdict == "equal"
    moved = trial(iou_drop=Figure(0.5, 0.4, 0.6, "points", 80))
    found = comparison.contrast("iou_drop", winner, moved, True)
    assert (found.verdict, found.a) == ("worse", chosen)
    assert found.words == "+0.40 [+0.20 … +0.60], on the choosing frames"
    both = comparison.contrast("iou_drop", winner, winner, True)
    assert (both.verdict, both.a) == ("equal", confirmed)
    older = structs.replace(winner, confirmation=structs.replace(confirmation, choosing={}))
    assert comparison.contrast("iou_drop", older, other, True).verdict == "incomparable"


def test_an_interval_that_touches_no_change_counts_as_noise() -> None:
    assert judge("speedup", (2, 1, 3), (4, 3, 5)).verdict == "noise"
    assert judge("iou_drop", (2, 1, 3), (4, 3, 5)).verdict == "noise"
    assert judge("speedup", (2, 1, 3), (4, 3.01, 5)).verdict == "better"


def test_equal_figures_that_may_not_be_compared_are_incomparable() -> None:
    assert judge("speedup", (2, 1, 3), (2, 1, 3), comparable=False).verdict == "incomparable"


def test_a_figure_that_one_run_lacks_has_no_verdict() -> None:
    one = trial(speedup=Figure(2, 1, 3, "×", 9))
    for a, b in ((one, trial()), (trial(), one), (one, None), (None, one), (None, None)):
        found = comparison.contrast("speedup", a, b, True)
        assert (found.verdict, found.words) == ("incomparable", "")


ENDS = st.lists(st.floats(0.01, 100), min_size=3, max_size=3).map(sorted)


@given(ENDS, ENDS, st.sampled_from(["speedup", "latency", "iou_drop", "size_bytes"]))
def test_swapping_the_runs_swaps_better_and_worse(a: list[float], b: list[float], metric: str) -> None:
    forth = judge(metric, (a[1], a[0], a[2]), (b[1], b[0], b[2])).verdict
    back = judge(metric, (b[1], b[0], b[2]), (a[1], a[0], a[2])).verdict
    assert back == {"better": "worse", "worse": "better"}.get(forth, forth)


@pytest.mark.parametrize(("value", "written"), [(0.5, "+0.50"), (-0.5, "−0.50"), (0.004, "0.00"), (-0.004, "0.00")])
def test_a_change_has_a_sign_unless_it_rounds_to_zero(value: float, written: str) -> None:
    assert comparison.format_change(value) == written


# What may be compared


@pytest.mark.parametrize("fact", comparison.MACHINE)
def test_different_machines_prevent_comparing_speeds_only(fact: str) -> None:
    a, b = rundir.read(), rundir.read(lambda facts: facts["host"].update({fact: "another"}))
    speeds, losses = comparison.find_obstacles(a, b)
    assert speeds == [f"different hosts ({fact.replace('_', ' ')})"]
    assert losses == []


@pytest.mark.parametrize(
    ("path", "value", "speeds", "losses"),
    [
        (("source", "digest"), "0", ["different source graphs"], ["different source graphs"]),
        (("data", "origin"), "elsewhere", [], ["different data"]),
        (("data", "frames"), 5, [], ["different data"]),
        (("data", "labelled"), False, [], ["different data"]),
        (("data", "choosing_frames"), 79, [], ["different data"]),
        (("data", "calibration_frames"), 5, [], []),
        (("budget",), {"max_disagreement": 1.0}, [], []),
        (
            ("fastest_baseline",),
            "OpenVINO, uncut",
            ["speedups over different baselines (TensorFlow, oneDNN on; OpenVINO, uncut)"],
            [],
        ),
    ],
)
def test_a_difference_prevents_comparing_only_what_depends_on_it(
    path: places.Path, value: Any, speeds: list[str], losses: list[str]
) -> None:
    other = rundir.read(lambda facts: places.put(facts, path, value))
    found = comparison.find_obstacles(rundir.read(), other)
    expected = [*losses, "different metrics"] if path == ("budget",) else losses
    assert found == (speeds, expected)


def test_if_speeds_are_comparable_a_notice_says_that_runs_were_not_interleaved() -> None:
    same = compare_runs(rundir.read(), rundir.read())
    assert same.notices == ("The runs were not interleaved, so speedups are more reliable than frames a second.",)
    other = compare_runs(rundir.read(), rundir.read(lambda facts: facts["host"].update(cpu="another")))
    assert not [notice for notice in other.notices if "interleaved" in notice]


# Facts of both runs


def get_facts(change: rundir.Change) -> dict[str, tuple[str, str]]:
    found = compare_runs(rundir.read(), rundir.read(change))
    return {row.what: (row.a, row.b) for row in found.rows}


def test_a_run_without_a_winner_names_the_nearest_among_the_facts() -> None:
    found = get_facts(lambda facts: facts.update(winner=None, nearest=INT8))
    assert found["Winner"] == ("int8-pruned30 throughput f32", f"none; nearest {INT8}")
    found = get_facts(lambda facts: facts.update(winner=None))
    assert found["Winner"][1] == "none; nearest none"
    assert found["Its configuration"][1] == "–"


def test_facts_that_one_run_lacks_are_shown_as_a_dash() -> None:
    found = get_facts(lambda facts: (facts["host"].pop("python"), facts["versions"].update(new="1")))
    assert found["Host: python"] == ("3.11.7", "–")
    assert found["Version: new"] == ("–", "1")


def test_limits_of_the_budget_are_listed_by_name() -> None:
    found = get_facts(lambda facts: facts.update(budget={"max_iou_drop": 0.25, "max_latency_ms": None}))
    assert found["Budget"] == ("max iou drop 1.1", "max iou drop 0.25")
    assert get_facts(lambda facts: facts.update(budget={}))["Budget"][1] == "none"


def test_a_missing_input_size_and_a_missing_data_origin_are_marked() -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["source"]["size"] = [288, 512]
        facts["data"] |= {"origin": None, "labelled": False}

    found = get_facts(change)
    assert found["Input"] == ("513×513", "512×288")
    assert found["Data"][1] == "–, 246 frames without masks"
    assert get_facts(lambda facts: facts["source"].pop("size"))["Input"][1] == "any"


def test_states_describe_the_outcome_of_a_trial_in_each_run() -> None:
    def change(facts: dict[str, Any]) -> None:
        only_one(facts)
        facts["trials"][1] |= {"accepted": False, "broken": ["too slow", "too large"]}

    found = compare_runs(rundir.read(), rundir.read(change))
    states = {pair.name: comparison.describe_states(found, pair) for pair in found.pairs}
    assert states["new"] == "A: not tried; B: accepted"
    assert states[INT8] == "A: accepted; B: winner"
    rejected = rundir.content()["trials"][1]["name"]
    assert states[rejected] == "A: accepted; B: rejected (too slow; too large)"


# The terminal


@pytest.mark.parametrize("width", [60, 72, 80, 100, 107, 108, 109, 140, 200])
def test_a_terminal_of_any_width_shows_every_name_and_number(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    found = compare_runs(rundir.read(), rundir.read(only_one))
    comparison_table.print_comparison(found, console)
    lines = console.file.getvalue().splitlines()
    assert max(len(line) for line in lines if not line.startswith(("A: ", "B: "))) <= width
    text = "\n".join(lines)
    assert "…" not in text
    for words in ("▲ better", "≈ within the noise", "▼ worse"):
        assert words in " ".join(text.split())
    assert "25.2" in text or "25.3" in text or "5.03" in text


def test_a_wide_terminal_shows_both_figures_and_a_narrow_one_the_change() -> None:
    found = compare_runs(rundir.read(), rundir.read(times(3)))
    columns = [len(comparison_table.make_trial_table(found, wide=wide).columns) for wide in (True, False)]
    assert columns[0] > columns[1]


def test_a_run_is_described_in_one_line() -> None:
    assert comparison_table.describe_run(rundir.read()) == (
        "deeplab, int8-pruned30 throughput f32, 5.03× TensorFlow, oneDNN on"
    )
    nearest = rundir.read(lambda facts: facts.update(winner=None, nearest=INT8))
    assert comparison_table.describe_run(nearest).startswith(f"deeplab, nothing met the budget; nearest: {INT8}, ")
    nothing = rundir.read(lambda facts: facts.update(winner=None))
    assert comparison_table.describe_run(nothing) == "deeplab, nothing could be measured"


@pytest.mark.parametrize(
    ("verdict", "written"),
    [
        ("better", "▲ ×2.00"),
        ("worse", "▼ ×2.00"),
        ("noise", "≈ ×2.00"),
        ("equal", "="),
        ("incomparable", "≠"),
    ],
)
def test_a_verdict_is_formatted_as_a_sign_and_the_change_without_its_interval(verdict: Any, written: str) -> None:
    one = Figure(1, 1, 1, "u", 1)
    assert comparison_table.format_verdict(Contrast("speedup", one, one, verdict, "×2.00 [1 … 3]")) == written
    assert comparison_table.format_verdict(Contrast("speedup", one, None, "incomparable", "")) == "–"


def test_a_trial_is_marked_with_the_runs_that_it_won() -> None:
    found = compare_runs(rundir.read(), rundir.read())
    names = [comparison_table.name_pair(found, pair) for pair in found.pairs]
    assert names[0] == "→ int8-pruned30 throughput f32 (A, B won)"
    assert not any(name.startswith("→") for name in names[1:])
    other = compare_runs(rundir.read(), rundir.read(lambda facts: facts.update(winner=INT8)))
    assert [comparison_table.name_pair(other, pair) for pair in other.pairs[:2]] == [
        f"→ {INT8} (B won)",
        "→ int8-pruned30 throughput f32 (A won)",
    ]


# The page


def test_only_metrics_that_either_run_measured_are_columns_of_the_page() -> None:
    def change(facts: dict[str, Any]) -> None:
        for item in facts["trials"]:
            item["measurements"].pop("size_bytes", None)

    headings = []
    for a, b in ((rundir.read(change), rundir.read(change)), (rundir.read(change), rundir.read())):
        shown = reading.Page()
        shown.feed(render_comparison(compare_runs(a, b)))
        headings.append([cell.text for cell in shown.all("th", scope="colgroup")])
    assert "Size, MB" in headings[1]
    assert [*headings[0], "Size, MB"] == headings[1]


def test_a_comparison_of_runs_without_trials_has_no_trial_table() -> None:
    empty = rundir.read(lambda facts: facts.update(trials=[], winner=None))
    shown = reading.Page()
    shown.feed(render_comparison(compare_runs(empty, empty)))
    assert {section.attributes["id"] for section in shown.all("section")} == {"winners", "same"}
    assert shown.section("winners").count("Nothing could be measured.") == 2


def test_trials_that_neither_run_measured_are_counted_and_have_no_row() -> None:
    console = Console(file=io.StringIO(), width=140)
    comparison_table.print_comparison(compare_runs(rundir.read(), rundir.read(times(3))), console)
    printed = console.file.getvalue()
    bare = [trial["name"] for trial in rundir.content()["trials"] if not trial["measurements"]]
    assert f"and {len(bare)} trials that neither run measured" in printed
    assert bare
    assert not [name for name in bare if name in printed]
