"""The table of results: numbers with intervals, and marks for winner and rejected trials."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from danmatte_workbench.experiment.trial import Confirmation
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.report import trial_table
from danmatte_workbench.source import Source
from tests.workbench.facts import measured, result, trial

SIZE = measured("size_bytes", 2_400_000)
LONG = "int8-pruned30-stride16-reshaped throughput bf16"
FIGURES = (measured("speedup", 25.25, low=24, high=26), measured("latency", 10.25), measured("iou_drop", 0.25), SIZE)
WINNER = trial("float", measured("throughput", 90, low=80, high=100), *FIGURES)
REJECTED = trial("int8", measured("throughput", 190), broken=("iou_drop was not measured",))
OTHER = trial("slow", measured("throughput", 2))
LONGEST = trial(LONG, measured("throughput", 1234.5, low=1200, high=1300), *FIGURES)


def show_lines(source: Source, winner, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    trial_table.show(result(source, WINNER, REJECTED, OTHER, LONGEST, winner=winner), console)
    return console.file.getvalue().splitlines()


def row(lines: list[str], name: str) -> str:
    (found,) = [line for line in lines if f"{name} " in line and ":" not in line]
    return found


def test_the_winner_and_the_rejected_are_marked(plain: Source) -> None:
    lines = show_lines(plain, WINNER)
    assert [row(lines, name).split()[0] for name in ("float", "int8", "slow")] == ["→", "✗", "slow"]


def test_a_confirmation_states_whether_it_was_cross_validated(plain: Source) -> None:
    chosen = Accuracy((measured("iou_drop", 0.2),))
    for crossed, words in ((False, "on 80 frames"), (True, "on 80 frames by cross-validation")):
        winner = replace(WINNER, confirmation=Confirmation(80, 1, 0.975, crossed, chosen))
        console = Console(file=io.StringIO(), width=120)
        trial_table.show(result(plain, winner, winner=winner), console)
        assert f"→ confirmed {words}; its loss when it was chosen: 0.2 u" in console.file.getvalue()


def test_trials_with_the_same_reason_share_a_line_and_others_have_their_own() -> None:
    one, other = (trial(name, measured("iou_drop", 2), broken=("iou_drop is 2",)) for name in ("one", "other"))
    alone = trial("alone", measured("iou_drop", 9), broken=("iou_drop is 9",))
    refused = trial("refused").stop("doesn't apply", "it has no logits")
    assert trial_table.explain_others([one, alone, other, refused]) == [
        "✗ one, other: rejected: iou_drop is 2",
        "✗ alone: rejected: iou_drop is 9",
        "· refused: doesn't apply: it has no logits",
    ]


def test_a_recipe_is_named_once_if_all_its_trials_have_the_same_reason() -> None:
    both = [replace(trial("int8", broken=("too slow",)), name=f"int8 {hint}") for hint in ("latency", "throughput")]
    assert trial_table.explain_others(both) == ["✗ int8: rejected: too slow"]
    kept = replace(trial("int8"), name="int8 bf16")
    assert trial_table.explain_others([*both, kept]) == ["✗ int8 latency, int8 throughput: rejected: too slow"]


def test_untried_recipes_are_listed_and_untried_configurations_counted() -> None:
    late, later = (trial("late").stop("not tried", f"it would take {seconds} s") for seconds in (90, 80))
    again = trial("float").stop("not tried", "it would take 9 s")
    assert trial_table.explain_others([WINNER, late, later, again]) == [
        "· late: not tried: it would take 90 s",
        "· not tried: 1 other configurations of recipes that were tried",
    ]


@pytest.mark.parametrize(("load", "reported"), [(0.02, False), (0.4, True)])
def test_a_high_load_by_other_processes_is_reported(plain: Source, load: float, reported: bool) -> None:
    console = Console(file=io.StringIO(), width=120)
    trial_table.show(replace(result(plain, WINNER, winner=WINNER), load=load), console)
    assert ("other processes used 40% of the CPUs' time" in console.file.getvalue()) == reported


def test_only_measured_trials_have_a_row(plain: Source) -> None:
    console = Console(file=io.StringIO(), width=120)
    trial_table.show(result(plain, WINNER, trial("late").stop("not tried", "no time"), winner=WINNER), console)
    assert [line for line in console.file.getvalue().splitlines() if "late" in line] == ["· late: not tried: no time"]


def test_a_number_is_shown_with_half_its_interval(plain: Source) -> None:
    assert "90 ± 10" in row(show_lines(plain, WINNER), "float")


def test_the_size_is_in_megabytes(plain: Source) -> None:
    assert row(show_lines(plain, WINNER), "float").split()[-1] == "2.4"


def test_an_unmeasured_value_is_shown_as_a_dash(plain: Source) -> None:
    assert row(show_lines(plain, WINNER), "int8").split()[-1] == "–"


def test_without_a_winner_no_trial_is_marked_as_one(plain: Source) -> None:
    assert row(show_lines(plain, None), "float").split()[0] == "float"


def test_the_last_line_mentions_a_winner_only_if_there_is_one(plain: Source) -> None:
    assert show_lines(plain, WINNER)[-1].startswith("→ the winner; speedup over ")
    assert show_lines(plain, None)[-1].startswith("no winner; speedup over ")
    assert "→" not in "".join(show_lines(plain, None))


@pytest.mark.parametrize("width", [80, 99, 100, 120])
def test_no_text_is_truncated_at_any_width(plain: Source, width: int) -> None:
    lines = show_lines(plain, LONGEST, width)
    tabled = [line for line in lines if not line.startswith("✗ int8:")]
    assert max(len(line) for line in tabled) <= width
    assert "…" not in "".join(lines)
    found = next(line for line in lines if line.split()[:1] == ["→"] and "±" in line)
    assert "25.2 ± 1" in found
    assert "0.25 ± 0" in found


def test_a_narrow_terminal_shows_the_interval_of_speedup_but_not_of_throughput(plain: Source) -> None:
    found = row(show_lines(plain, WINNER, 80), "float")
    assert "90 ± 10" not in found
    assert "25.2 ± 1" in found


def test_the_disagreement_of_tensors_has_its_own_column(plain: Source) -> None:
    console = Console(file=io.StringIO(), width=120)
    trial_table.show(result(plain, trial("a", measured("disagreement", 1.5))), console)
    assert "differs" in console.file.getvalue()
    assert "IoU" not in console.file.getvalue()


def test_control_characters_and_markup_in_names_are_not_interpreted(plain: Source) -> None:
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    trial_table.show(result(plain, trial("[red]\x1b[2Ja", broken=("\x1b[2J",))), console)
    assert "\x1b[2J" not in console.file.getvalue()
    assert "[red]" in console.file.getvalue()
