"""The report shows the losses when chosen and when confirmed, by kind of scene, and labels."""

from pathlib import Path

from danmatte_workbench.report import run_page
from danmatte_workbench.report.confirmed import list_confirmed
from tests.workbench.report import rundir
from tests.workbench.report.reading import read
from tests.workbench.report.rundir import figure


def test_each_confirmation_is_followed_by_its_kinds_with_the_worst_marked() -> None:
    rows = list_confirmed(rundir.read())
    assert [row.what for row in rows[1:]] == ["in ccp", "in coco"]
    assert rows[0].note == "confirmed, attempt 2, interval 97.5 %"
    assert rows[0].chosen is not None
    assert rows[0].chosen.value == 0.12
    assert [row.worst for row in rows] == [False, False, True]
    assert rows[2].confirmed is not None
    assert rows[2].confirmed.value == 0.61


def test_a_failed_confirmation_comes_first_and_each_graph_appears_once() -> None:
    def fail_confirmation(facts: dict) -> None:
        for trial in facts["trials"][:2]:
            if trial["name"] != facts["winner"]:
                trial |= {"accepted": False, "broken": ["not confirmed: iou_drop is 2 points, the limit is 1.1"]}
                trial["confirmation"] = {
                    "frames": 166,
                    "attempt": 1,
                    "confidence": 0.95,
                    "crossed": False,
                    "choosing": {"iou_drop": figure(0.3, 0.5, "points")},
                }

    rows = list_confirmed(rundir.read(fail_confirmation))
    assert sum("attempt 1" in row.note for row in rows) == 1
    assert rows[0].note.startswith("not confirmed, attempt 1")
    assert rows[1].note.startswith("confirmed, attempt 2")


def test_an_older_run_without_confirmations_has_no_such_section(tmp_path: Path) -> None:
    def remove_confirmations(facts: dict) -> None:
        for trial in facts["trials"]:
            trial |= {"confirmation": None, "kinds": {}}

    assert list_confirmed(rundir.read(remove_confirmations)) == []
    run_page.write_report(rundir.write(tmp_path, remove_confirmations))
    assert 'id="confirmed"' not in (tmp_path / run_page.REPORT).read_text("utf-8")


def test_the_page_shows_both_losses_and_the_kind_that_loses_most(tmp_path: Path) -> None:
    run_page.write_report(rundir.write(tmp_path))
    text = (tmp_path / run_page.REPORT).read_text("utf-8")
    assert (
        "not used to choose it (0.12 points when it was chosen), against the true masks; most in coco: 0.61 points"
        in text
    )
    assert "Chosen and confirmed" in text
    assert "80 frames chose the winner, 166 others confirmed it" in text


def test_losses_under_older_instruction_sets_are_listed_and_explained(tmp_path: Path) -> None:
    def add_level(facts: dict) -> None:
        for trial in facts["trials"]:
            if trial["name"] == facts["winner"]:
                trial["levels"] = {"AVX2": figure(0.4, 0.5, "points", 166)}

    rows = list_confirmed(rundir.read(add_level))
    assert (rows[-1].what, rows[-1].chosen) == ("with AVX2", None)
    assert rows[-1].confirmed is not None
    assert rows[-1].confirmed.value == 0.4
    run_page.write_report(rundir.write(tmp_path / "with_level", add_level))
    run_page.write_report(rundir.write(tmp_path / "plain"))
    with_level, plain = ((tmp_path / name / run_page.REPORT).read_text("utf-8") for name in ("with_level", "plain"))
    assert "on this CPU with newer ones disabled" in with_level
    assert "on this CPU with newer ones disabled" not in plain


def test_masks_are_sorted_by_loss_and_shown_with_their_labels(tmp_path: Path) -> None:
    run_page.write_report(rundir.write(tmp_path))
    page = read(tmp_path / run_page.REPORT)
    captions = [node.text for node in page.all("figcaption") if "costs" in node.text]
    assert "costs 5.0 points" in captions[0]
    assert "costs 0.0 points" in captions[-1]
    assert len(page.all("div", _class="shot label")) == len(captions) == 3
