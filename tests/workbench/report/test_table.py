"""The findings as a table: every number with its interval, winner and rejected marked."""

import io

from rich.console import Console

from tests.workbench.facts import findings, measured, trial
from workbench.report import table
from workbench.source import Source

WINNER = trial("float", measured("throughput", 90, low=80, high=100), measured("iou_drop", 0.25))
REJECTED = trial("int8", measured("throughput", 190), broken=("iou_drop was not measured",))
OTHER = trial("slow", measured("throughput", 2))


def shown(source: Source, winner) -> list[str]:
    console = Console(file=io.StringIO(), width=120)
    table.show(findings(source, WINNER, REJECTED, OTHER), winner, console)
    return console.file.getvalue().splitlines()


def row(lines: list[str], name: str) -> str:
    (found,) = [line for line in lines if f"{name} " in line and "±" in line]
    return found


def test_the_winner_and_the_rejected_are_marked(plain: Source) -> None:
    lines = shown(plain, WINNER)
    assert [row(lines, name).split()[0] for name in ("float", "int8", "slow")] == ["→", "✗", "slow"]


def test_a_number_comes_with_half_its_interval(plain: Source) -> None:
    assert "90 ± 10" in row(shown(plain, WINNER), "float")


def test_what_was_not_measured_is_a_dash(plain: Source) -> None:
    assert row(shown(plain, WINNER), "int8").split()[-1] == "–"


def test_without_a_winner_nothing_is_marked(plain: Source) -> None:
    assert row(shown(plain, None), "float").split()[0] == "float"
