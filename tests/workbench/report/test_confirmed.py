"""The report shows the losses when chosen and when confirmed, by kind of scene, and labels."""

from pathlib import Path

from danmatte_workbench.report import run_page
from danmatte_workbench.report.confirmed import list_confirmed
from tests.workbench.report import rundir
from tests.workbench.report.reading import read
from tests.workbench.report.rundir import figure


def test_each_attempt_is_a_row_with_its_kinds_and_the_worst_is_marked() -> None:
    rows = list_confirmed(rundir.read())
    assert [row.what for row in rows[1:]] == ["in ccp", "in coco"]
    assert rows[0].note == "confirmed, attempt 2, interval 97.5 %"
    assert rows[0].chosen is not None
    assert rows[0].chosen.value == 0.12
    assert [row.worst for row in rows] == [False, False, True]
    assert rows[2].confirmed is not None
    assert rows[2].confirmed.value == 0.61


def test_one_that_fell_comes_first_and_the_same_graph_only_once() -> None:
    def let_fall(facts: dict) -> None:
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

    rows = list_confirmed(rundir.read(let_fall))
    assert sum("attempt 1" in row.note for row in rows) == 1
    assert rows[0].note.startswith("not confirmed, attempt 1")
    assert rows[1].note.startswith("confirmed, attempt 2")


def test_a_run_from_before_there_were_confirmations_has_no_such_part(tmp_path: Path) -> None:
    def forget(facts: dict) -> None:
        for trial in facts["trials"]:
            trial |= {"confirmation": None, "kinds": {}}

    assert list_confirmed(rundir.read(forget)) == []
    run_page.write_report(rundir.write(tmp_path, forget))
    assert 'id="confirmed"' not in (tmp_path / run_page.REPORT).read_text("utf-8")


def test_the_page_tells_both_figures_and_where_most_is_lost(tmp_path: Path) -> None:
    run_page.write_report(rundir.write(tmp_path))
    text = (tmp_path / run_page.REPORT).read_text("utf-8")
    assert (
        "not used to choose it (0.12 points when it was chosen), against the true masks; most in coco: 0.61 points"
        in text
    )
    assert "Chosen and confirmed" in text
    assert "80 frames chose the winner, 166 others confirmed it" in text


def test_what_is_lost_as_an_older_cpu_would_compute_it_stands_below_and_is_explained(tmp_path: Path) -> None:
    def tell(facts: dict) -> None:
        for trial in facts["trials"]:
            if trial["name"] == facts["winner"]:
                trial["levels"] = {"AVX2": figure(0.4, 0.5, "points", 166)}

    rows = list_confirmed(rundir.read(tell))
    assert (rows[-1].what, rows[-1].chosen) == ("with AVX2", None)
    assert rows[-1].confirmed is not None
    assert rows[-1].confirmed.value == 0.4
    run_page.write_report(rundir.write(tmp_path / "told", tell))
    run_page.write_report(rundir.write(tmp_path / "plain"))
    told, plain = ((tmp_path / name / run_page.REPORT).read_text("utf-8") for name in ("told", "plain"))
    assert "on this CPU with newer ones disabled" in told
    assert "on this CPU with newer ones disabled" not in plain


def test_what_costs_most_comes_first_beside_its_label(tmp_path: Path) -> None:
    run_page.write_report(rundir.write(tmp_path))
    page = read(tmp_path / run_page.REPORT)
    captions = [node.text for node in page.all("figcaption") if "costs" in node.text]
    assert "costs 5.0 points" in captions[0]
    assert "costs 0.0 points" in captions[-1]
    assert len(page.all("div", _class="shot label")) == len(captions) == 3
