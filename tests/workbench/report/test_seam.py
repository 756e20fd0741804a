"""Reports can read what runs write."""

from pathlib import Path

from danmatte_workbench.report import facts, records, run_page
from danmatte_workbench.report.facts import Invocation
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import measured, result, trial
from tests.workbench.report import reading

CALL = Invocation(("workbench", "optimize", "tiny"), "2026-11-25T17:20:00+00:00", 12.5)
FAILED = trial("int8", broken=("MachineError: its process died",))


def test_a_report_can_be_made_of_a_newly_written_run(plain: Source, built: Build, tmp_path: Path) -> None:
    figures = (measured("throughput", 90, low=80, high=99), measured("speedup", 9), measured("iou_drop", 0.1))
    winner = trial("float", *figures, artifact=built(tiny.PLAIN))
    described = facts.describe_run(result(plain, winner, FAILED, winner=winner), CALL)
    facts.write(described, tmp_path / "run.json")
    page = reading.read(run_page.write_report(tmp_path))
    assert page.one("h1").text == f"{plain.name}, 9.00 times as fast"
    assert "its process died" in page.section("trials")


def test_a_newly_written_run_without_a_winner_can_be_read(plain: Source, tmp_path: Path) -> None:
    facts.write(facts.describe_run(result(plain, FAILED), CALL), tmp_path / "run.json")
    assert records.read_run(tmp_path).winner is None
