"""The report: everything of the run in one self-contained file."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.report import run_page
from tests.workbench.report import reading, rundir

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[2J\u202e&lt;'
PARTS = ("trade", "confirmed", "made", "masks", "trials", "layers", "curves", "isa", "method", "machine", "again")


def make_page(folder: Path, change: rundir.Change = lambda _: None, *, pictures: bool = True) -> reading.Page:
    """Return the report of a changed run."""
    return reading.read(run_page.write_report(rundir.write(folder, change, pictures=pictures)))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> reading.Page:
    return make_page(tmp_path_factory.mktemp("run"))


def test_the_headline_has_winner_speedup_and_loss_with_intervals(page: reading.Page) -> None:
    assert page.one("h1").text == "deeplab, 5.03 times as fast"
    summary = page.one("p", _class="summary").text
    for words in (
        "int8-pruned30 throughput f32 is the winner",
        "102 frames/s on 2 cores of AMD EPYC",
        "5.03 times [4.60 … 6.20] as fast as TensorFlow, oneDNN on",
        "It loses 0.47 points of IoU [−0.12 … 1.00] on 166 frames that were not used to choose it (0.12 points when",
    ):
        assert words in summary
    kept = "✓ IoU lost 0.47 of 1.1 points allowed, at worst 1.00 of 2.2"
    assert page.one("span", _class="verdict kept").text == kept


def test_every_section_is_present_and_linked(page: reading.Page) -> None:
    assert tuple(section.attributes["id"] for section in page.all("section")) == PARTS
    links = {link.attributes["href"] for link in page.all("a")}
    assert {f"#{part}" for part in PARTS} <= links


def test_every_trial_is_listed_and_the_rejected_with_reasons(page: reading.Page) -> None:
    text = page.section("trials")
    for trial in rundir.content()["trials"]:
        assert trial["name"] in text
        assert all(reason in text for reason in trial["broken"])
    assert "OpenVINO, uncut, NNCF defaults" in text
    assert text.index("int8-pruned30 throughput f32") < text.index("int8 latency f32") < text.index("int8-stride16")


@pytest.mark.parametrize(
    ("state", "row", "badge"),
    [
        ("rejected", "rejected", "badge over"),
        ("", "rejected", "badge over"),  # runs of earlier versions
        ("not tried", "stopped", "badge open"),
        ("doesn't apply", "stopped", "badge open"),
        ("failed", "stopped", "badge open"),
    ],
)
def test_only_trials_that_broke_the_budget_are_marked_as_rejected(
    tmp_path: Path, state: str, row: str, badge: str
) -> None:
    page = make_page(tmp_path, lambda facts: facts["trials"][-1].update(state=state), pictures=False)
    word = state or "rejected"
    assert any(element.text == word for element in page.all("span", _class=badge))
    assert list(page.all("tr", _class=row))
    assert re.search(rf"\d {word}[,.]", page.section("trials"))


def test_layers_are_listed_with_source_name_work_and_why_they_stay_in_floats(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        work = {"operations": 12_300_000, "size_bytes": 4_500_000, "weights": [16, 3, 3, 3]}
        facts["layers"]["after"][3] |= work | {"source": "MobilenetV2/Conv", "stays_float": "there is no kernel"}
        facts["starts"] = [{"who": "winner", "compile_ms": 91.0, "first_ms": 12.5, "memory_bytes": 150_000_000}]

    text = make_page(tmp_path, change, pictures=False).section("layers")
    for words in ("MobilenetV2/Conv", "there is no kernel", "12.3", "4.50", "Until the first answer", "91.0", "150"):
        assert words in text


def test_losses_of_candidates_by_frame_are_listed_highest_first(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["scores"] = [
            {"frame": "calm.jpg", "kind": "day", "lost": {"int8 f32": 0.25, "int8-mixed f32": -0.5}},
            {"frame": "hard.jpg", "kind": "night", "lost": {"int8 f32": 1.5, "int8-mixed f32": 31.25}},
            {"frame": "once.jpg", "kind": "", "lost": {"int8 f32": 2.0}},
        ]

    text = make_page(tmp_path, change, pictures=False).section("scores")
    assert text.index("hard.jpg") < text.index("once.jpg") < text.index("calm.jpg")
    for words in ("int8-mixed f32", "31.2", "−0.5", "night", "3 of 3 frames"):
        assert words in text
    assert "scores" not in {section.attributes["id"] for section in make_page(tmp_path, pictures=False).all("section")}


def test_every_column_of_the_trials_is_explained(page: reading.Page) -> None:
    text = page.section("trials")
    for words in (
        "What the columns mean",
        "lower is better",
        "frames a second, with the parallelism of the configuration",
        "graph and weights",
    ):
        assert words in text


def test_the_page_loads_no_external_resources(page: reading.Page) -> None:
    for element in page.elements:
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            address = element.attributes.get(name) or ""
            assert address.startswith(("data:", "#")) or not address, address[:80]
        assert "style" not in element.attributes
        assert not [name for name in element.attributes if name.startswith("on")]
    assert "url(" not in page.one("style").text
    assert "@import" not in page.one("style").text


def test_the_policy_allows_only_the_pages_style_and_script(page: reading.Page) -> None:
    (policy,) = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.one(name).text.encode()).digest()).decode()
        assert rules[f"{name}-src"] == f"'sha256-{digest}'"
    assert page.all("meta").index(page.one("meta", charset="utf-8")) == 0


def test_the_run_can_be_downloaded_from_the_page(page: reading.Page) -> None:
    link = page.one("a", download="run.json")
    data = base64.b64decode(link.attributes["href"].partition("base64,")[2])
    assert json.loads(data)["winner"] == "int8-pruned30 throughput f32"


def test_the_command_of_the_run_is_shown(page: reading.Page) -> None:
    assert page.one("code", id="command").text.startswith("workbench optimize deeplab --effort standard")


def test_pictures_have_text_alternatives_and_plots_have_labels(page: reading.Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 5 * len(rundir.FRAMES)
    assert all(picture.attributes["alt"] for picture in pictures)
    plots = [plot for plot in page.all("svg") if "plot" in (plot.attributes.get("class") or "")]
    assert plots
    assert all(plot.attributes.get("aria-label") or plot.attributes.get("aria-hidden") for plot in plots)


def test_differences_of_masks_are_described_in_words(page: reading.Page) -> None:
    assert "only the source 1.7 %, only the winner 0.79 % of the pixels" in page.section("masks")
    assert page.section("masks").index("astronaut.jpg") < page.section("masks").index("cat.jpg")


def test_sweep_points_say_whether_their_windows_agreed(page: reading.Page) -> None:
    text = page.section("curves")
    assert text.count("did not agree") >= 2
    assert "(2 of 16 points)" in text
    rings = [node for node in page.all("circle") if "ring" in node.attributes["class"].split()]
    assert len(rings) == 2 * 2 * 2  # contenders, metrics, widths


def test_older_instruction_sets_are_listed_in_a_table(page: reading.Page) -> None:
    text = page.section("isa")
    for words in ("AVX512_CORE_VNNI", "31.0", "0.52", "avx2"):
        assert words in text


def test_layers_before_and_after_are_counted_and_timed(page: reading.Page) -> None:
    text = page.section("layers")
    assert "39.0 ms in 56 layers before → 9.60 ms in 56 layers after" in text
    assert re.search(r"i8\s*–\s*8\.85 ms", text)


def test_the_machine_versions_and_data_are_listed(page: reading.Page) -> None:
    text = page.section("machine")
    for words in ("AMD EPYC", "23.5 GiB", "avx512_vnni", "openvino2026.4.1", "246 frames, with masks", "513×513"):
        assert words in text


def test_hostile_names_are_escaped(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["source"]["name"] = HOSTILE
        facts["command"].append(HOSTILE)
        facts["host"][HOSTILE] = facts["host"]["cpu"] = HOSTILE
        facts["versions"][HOSTILE] = HOSTILE
        facts["data"]["origin"] = facts["published"] = facts["started"] = HOSTILE
        facts["baselines"][HOSTILE] = facts["baselines"].pop(facts["fastest_baseline"])
        facts["fastest_baseline"] = HOSTILE
        winner = next(trial for trial in facts["trials"] if trial["name"] == facts["winner"])
        winner["name"] = facts["winner"] = HOSTILE
        winner["notes"] = winner["broken"] = [HOSTILE]
        winner["configuration"] = {HOSTILE: HOSTILE}
        winner["measurements"][HOSTILE] = rundir.figure(1, 0, HOSTILE)
        facts["layers"]["after"][0] |= dict.fromkeys(("name", "kind", "precision", "kernel"), HOSTILE)
        facts["sweep"][0]["who"] = facts["isa"][0]["who"] = facts["isa"][0]["isa"] = HOSTILE
        facts["masks"][0]["frame"] = HOSTILE

    page = make_page(tmp_path, change)
    assert len(page.all("script")) == 1
    assert all(picture.attributes["src"].startswith("data:") for picture in page.all("img"))
    assert not [element for element in page.elements if "onerror" in element.attributes]
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>alert" not in text
    assert not re.search("[\x00-\x08\x1b\u202e]", text)
    assert '"><script>alert(1)</script>' in page.one("h1").text


def test_sections_without_measurements_are_left_out_and_named(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        for name in ("layers", "sweep", "isa", "masks"):
            del facts[name]

    page = make_page(tmp_path, change)
    assert {section.attributes["id"] for section in page.all("section")} == set(PARTS) - {
        "masks",
        "layers",
        "curves",
        "isa",
    }
    assert "Not part of this run: masks, layers, the sweep, older instruction sets." in " ".join(
        page.section("method").split()
    ).replace("run. M", "run: m")


def reject_all(facts: dict[str, Any]) -> None:
    """Let no trial keep the budget."""
    facts["budget"]["max_iou_drop"] = 0.01
    facts["nearest"], facts["winner"], facts["published"] = facts["trials"][2]["name"], None, None
    for trial in facts["trials"]:
        trial["accepted"], trial["broken"] = False, ["iou_drop may reach 9 points, the limit is 0.01"]


def test_a_run_without_a_winner_names_the_nearest_trial_and_its_reasons(tmp_path: Path) -> None:
    page = make_page(tmp_path, reject_all)
    assert page.one("h1").text == "deeplab: nothing met the budget"
    assert "float latency bf16 came nearest" in page.one("p", _class="summary").text
    assert page.one("ul", _class="broken").text == "iou_drop may reach 9 points, the limit is 0.01"
    assert page.one("span", _class="verdict over").text == "✗ IoU lost at worst 0.07 of 0.01 points allowed"


def test_a_run_in_which_every_trial_failed_has_a_page(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        reject_all(facts)
        facts["nearest"] = None
        for trial in facts["trials"]:
            trial["measurements"] = {}

    page = make_page(tmp_path, change)
    assert page.one("h1").text == "deeplab: nothing could be measured"
    assert "trade" not in {section.attributes["id"] for section in page.all("section")}


def test_a_latency_limit_is_judged_on_the_page(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["budget"]["max_latency_ms"] = 40.0

    verdicts = [span.text for span in make_page(tmp_path, change).all("span", _class="verdict over")]
    assert verdicts == ["✗ Latency not measured of 40 ms allowed"]


def test_losses_of_tensors_are_described_as_disagreement(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["source"]["meaning"] = "tensors"
        facts["budget"] = {"max_iou_drop": None, "max_latency_ms": None, "max_disagreement": 1.1}
        for figures in (*facts["baselines"].values(), *(trial["measurements"] for trial in facts["trials"])):
            if "iou_drop" in figures:
                figures["disagreement"] = figures.pop("iou_drop")

    page = make_page(tmp_path, change, pictures=False)
    assert "Its tensors differ from the source’s by 0.47 points" in page.one("p", _class="summary").text
    assert "Disagreement 0.47 of 1.1 points allowed" in page.one("span", _class="verdict kept").text
    assert "by the metric of their kind" in page.section("trials")
    assert "cosine" not in page.section("trials")


def test_without_true_masks_the_page_explains_the_loss_as_1_minus_iou(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["data"]["labelled"] = False

    page = make_page(tmp_path, change)
    assert "the loss is 1 minus the IoU over all frames together" in page.section("method")
    assert "the loss is the difference in IoU" not in page.section("method")


def test_writing_a_page_again_gives_the_same_bytes(tmp_path: Path) -> None:
    folder = rundir.write(tmp_path)
    first = run_page.write_report(folder).read_bytes()
    assert run_page.write_report(folder).read_bytes() == first
    assert sorted(path.name for path in folder.iterdir()) == ["masks", "report.html", "run.json"]


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    folder = rundir.write(tmp_path)
    (folder / "masks/02-winner.png").unlink()
    with pytest.raises(InputError, match=r"02-winner\.png: no such file, though run\.json names it"):
        run_page.write_report(folder)


@pytest.mark.parametrize(
    "content", [b"", b"buy milk", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n"]
)
def test_a_broken_picture_is_named(tmp_path: Path, content: bytes) -> None:
    folder = rundir.write(tmp_path)
    (folder / "masks/01-frame.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"01-frame\.jpg: isn't a picture"):
        run_page.write_report(folder)


def test_masks_of_a_different_size_are_resized_to_their_frames(tmp_path: Path) -> None:
    from PIL import Image

    folder = rundir.write(tmp_path)
    mask = Image.open(folder / "masks/01-source.png")
    mask.resize((129, 129)).save(folder / "masks/01-source.png")
    assert "only the source 1." in reading.read(run_page.write_report(folder)).section("masks")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a run's folder"):
        run_page.write_report(tmp_path / "none")


def test_a_page_that_cannot_be_written_is_reported_as_a_machine_error(tmp_path: Path) -> None:
    folder = rundir.write(tmp_path)
    (folder / "report.html").mkdir()
    with pytest.raises(MachineError, match=r"report\.html: can't be written"):
        run_page.write_report(folder)


def test_threads_chosen_by_the_device_have_no_position_on_the_axis(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["sweep"][0]["threads"] = 0
        facts["sweep"][1] |= {"throughput": None, "latency": None, "note": "too slow", "ratio": None}

    assert "Frames a second by threads" in make_page(tmp_path, change, pictures=False).section("curves")
