"""``workbench report`` and ``workbench compare``, as a user calls them."""

import json
from pathlib import Path

import pytest

from danmatte_workbench.cli import main
from tests.workbench.report import rundir


def test_a_report_can_be_rebuilt_from_the_folder_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = rundir.write(tmp_path / "runs/deeplab/1")
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert "5.03 times" in (folder / "report.html").read_text("utf-8")


def test_an_invalid_run_exits_with_2_and_names_the_missing_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = rundir.write(tmp_path, lambda facts: facts["trials"][1].pop("accepted"), pictures=False)
    assert main(["report", str(folder)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"workbench report: {folder / 'run.json'}: isn't a run: ")
    assert "`accepted`" in error
    assert "$.trials[1]" in error


@pytest.mark.parametrize("missing", ["a", "b"])
def test_a_missing_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    for name in {"a", "b"} - {missing}:
        rundir.write(tmp_path / name, pictures=False)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert f"{tmp_path / missing}: can't be read" in capsys.readouterr().err


def test_two_runs_are_compared_on_the_terminal_and_as_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = rundir.write(tmp_path / "a", pictures=False)
    b = rundir.write(tmp_path / "b", lambda facts: facts["host"].update(cpu="another"), pictures=False)
    page = tmp_path / "compared.html"
    assert main(["compare", str(a), str(b / "run.json"), "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "Speeds are not comparable: different hosts (cpu)" in printed
    assert printed.splitlines()[-1] == str(page)
    assert "two runs compared" in page.read_text("utf-8")


def test_json_that_is_not_a_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps({"scenes": {}}))
    assert main(["compare", str(path), str(path)]) == 2
    assert "isn't a run" in capsys.readouterr().err
