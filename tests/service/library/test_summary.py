"""The output of a run: progress, lines and table."""

import io
import json
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from msgspec import structs

from danmatte.errors import InvalidParameterError
from danmatte.library import progress
from danmatte.library.inventory import Totals
from danmatte.library.progress import LibraryProgress
from danmatte.library.result import UnitResult
from danmatte.library.summary import LibrarySummary, open_lines
from tests.service.tracks.test_writer import room

MADE = UnitResult("made", "a.mp4", "a.mattes", attempts=1, masks=100, held=20, cuts=3, seconds=2.5, size_bytes=2**20)
BROKEN = UnitResult("broken", "b.mp4", "b.mattes", attempts=1, reason="the last is at 9 ms", masks=50, size_bytes=2**20)
LOST = UnitResult("given up", "c.mp4", "c.mattes", attempts=3, reason="its process ended by SIGSEGV", size_bytes=2**19)
LATER = structs.replace(LOST, state="postponed", reason="No space left on device")
KEPT = UnitResult("kept", "d.mp4", "d.mattes", size_bytes=2**21)


def test_the_table_has_a_row_for_each_state_and_a_total() -> None:
    summary = LibrarySummary()
    for result in (MADE, MADE, LOST, KEPT):
        summary.add(result)
    assert [line.split() for line in summary.describe().splitlines()[1:]] == [
        ["made", "2", "200", "40", "6", "2.0"],
        ["kept", "1", "0", "0", "0", "2.0"],
        ["given", "up", "1", "0", "0", "0", "0.5"],
        ["all", "4", "200", "40", "6", "4.5"],
    ]
    assert summary.exit_code == 1


def test_the_table_counts_grades_where_videos_were_judged() -> None:
    summary = LibrarySummary()
    for result in (
        structs.replace(MADE, grade="B", score=67.0),
        structs.replace(KEPT, state="judged", grade="E"),
        KEPT,
    ):
        summary.add(result)
    assert [line.split() for line in summary.describe().splitlines()] == [
        ["units", "masks", "held", "cuts", "A", "B", "C", "D", "E", "MiB", "of", "video"],
        ["made", "1", "100", "20", "3", "0", "1", "0", "0", "0", "1.0"],
        ["judged", "1", "0", "0", "0", "0", "0", "0", "0", "1", "2.0"],
        ["kept", "1", "0", "0", "0", "0", "0", "0", "0", "0", "2.0"],
        ["all", "3", "100", "20", "3", "0", "1", "0", "0", "1", "5.0"],
    ]
    assert summary.exit_code == 0


@pytest.mark.parametrize(("result", "code"), [(MADE, 0), (KEPT, 0), (BROKEN, 1), (LOST, 1), (LATER, 4)])
def test_the_exit_code_distinguishes_complete_failed_and_postponed_units(result: UnitResult, code: int) -> None:
    summary = LibrarySummary()
    summary.add(result)
    assert summary.exit_code == code


def test_a_result_is_described_with_its_reason() -> None:
    assert LOST.describe() == "c.mp4: given up after 3 attempts: its process ended by SIGSEGV"
    assert BROKEN.describe() == "b.mp4: broken, 50 masks in 0.0 s: b.mattes: the last is at 9 ms"
    assert KEPT.describe() == "d.mp4: kept"
    judged = structs.replace(KEPT, state="judged", grade="C", score=51.4)
    assert judged.describe() == "d.mp4: judged, C (51 of 100)"


def test_the_exit_code_is_4_if_any_unit_was_postponed() -> None:
    summary = LibrarySummary()
    for result in (LATER, LOST):
        summary.add(result)
    assert summary.exit_code == 4
    assert LATER.describe() == "c.mp4: postponed after 3 attempts: No space left on device"


@pytest.mark.parametrize(
    ("seconds", "printed"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (750, "12 min"), (3599, "1 h 00 min")]
)
def test_a_duration_is_printed_in_seconds_minutes_or_hours(seconds: float, printed: str) -> None:
    assert progress.format_time(seconds) == printed


def test_a_file_name_that_is_not_unicode_is_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")  # as old archives store it
    for file in (tmp_path / "results.jsonl", Path("-")):
        with open_lines(file) as write:
            write(structs.replace(MADE, video=name))
    lines = [(tmp_path / "results.jsonl").read_text(), capsys.readouterr().out]
    assert [json.loads(line)["video"] for line in lines] == [name, name]


def test_each_result_is_written_immediately(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    with open_lines(file) as write:
        write(MADE)
        assert json.loads(file.read_text())["masks"] == 100
        write(LOST)
    assert [json.loads(line)["state"] for line in file.read_text().splitlines()] == ["made", "given up"]


def test_lines_go_to_standard_output_or_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    with open_lines(Path("-")) as write, open_lines(None) as ignore:
        write(MADE)
        ignore(LOST)
    assert json.loads(capsys.readouterr().out)["video"] == "a.mp4"


def test_json_lines_are_not_mixed_with_redirected_output(capsys: pytest.CaptureFixture[str]) -> None:
    with open_lines(Path("-")) as write, redirect_stdout(sys.stderr):
        print("a greeting of a library")
        write(MADE)
    assert [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()] == ["made"]


def test_a_disk_that_fills_up_while_writing_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    with open_lines(file) as write:
        write(MADE)
        more = file.stat().st_size + 10
        with (
            pytest.raises(InvalidParameterError, match=r"--json: .*can't be written \(File too large"),
            room(more),
        ):
            write(LOST)


def test_an_output_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="can't be written"), open_lines(tmp_path):
        pass


def test_the_remaining_time_is_estimated_from_bytes_of_video() -> None:
    reporter = LibraryProgress(Totals(units=10, size_bytes=10 * 2**20, kept=4, kept_bytes=4 * 2**20), io.StringIO())
    assert reporter.describe(5) == "4 of 10 units"
    reporter.step(MADE)
    reporter.step(MADE)
    assert reporter.describe(20) == "6 of 10 units, 0.1 a second, 40 s left"
    assert reporter.describe(20 * 3600).endswith("40 h 00 min left")


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_updated_line_and_a_log_gets_occasional_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY_S", 0)
    terminal, log = Terminal(), io.StringIO()
    for stream in (terminal, log):
        LibraryProgress(Totals(units=2), stream).look()
    assert terminal.getvalue() == "\r\x1b[K0 of 2 units"
    assert log.getvalue() == ""
    monkeypatch.setattr(progress, "_LOG_EVERY_S", 0)
    LibraryProgress(Totals(units=2), log).look()
    assert log.getvalue() == "0 of 2 units\n"
