"""The arguments of ``workbench optimize``, and its output paths."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from danmatte_workbench import cli
from danmatte_workbench.commands import optimize, run_places
from danmatte_workbench.commands.run_places import make_run_folder
from danmatte_workbench.dataset import SAMPLES
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.run import Experiment
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.publish import publish
from danmatte_workbench.report.records import read_run
from danmatte_workbench.source import Source
from tests.workbench import graphs, tiny
from tests.workbench.conftest import Build
from tests.workbench.experiment.runs import STOCK, KnownRace, in_process, known_race, make_run
from tests.workbench.facts import trial

__all__ = ["in_process", "known_race"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A segmenter, a classifier, frames with masks, and frames without."""
    root = tmp_path_factory.mktemp("arguments")
    graphs.write_onnx(root / "segmenter.onnx", "argmax")
    graphs.write_classifier(root / "classifier.onnx")
    tiny.write_scenes(root / "data", 12)
    tiny.write_scenes(root / "bare", 9, masks=False)
    return root


def prepare(root: Path, graph: str, *words: str) -> tuple[Experiment, ProcessLimits]:
    data = [] if "--data" in words else ["--data", str(root / "data")]
    return optimize.prepare(cli.make_parser().parse_args(["optimize", str(root / graph), *data, *words]))


def test_the_default_iou_drop_is_0_5_points_with_true_masks_and_2_without(root: Path) -> None:
    labelled, _ = prepare(root, "segmenter.onnx")
    bare, _ = prepare(root, "segmenter.onnx", "--data", str(root / "bare"))
    assert (labelled.budget.limits, bare.budget.limits) == ({"iou_drop": 0.5}, {"iou_drop": 2.0})


def test_given_limits_replace_the_defaults(root: Path) -> None:
    found, limits = prepare(
        root,
        "segmenter.onnx",
        "--max-iou-drop",
        "2",
        "--max-latency-ms",
        "9",
        "--trial-s",
        "7",
        "--trial-memory-gib",
        "3",
    )
    assert found.budget.limits == {"iou_drop": 2.0, "latency": 9.0}
    assert limits == ProcessLimits(7.0, 3.0)


def test_a_graph_whose_output_is_not_a_mask_has_a_budget_of_disagreement(root: Path) -> None:
    usual, _ = prepare(root, "classifier.onnx")
    strict, _ = prepare(root, "classifier.onnx", "--max-disagreement", "0.1")
    assert (usual.budget.limits, strict.budget.limits) == ({"disagreement": 5.0}, {"disagreement": 0.1})
    assert {trial.recipe.name for trial in usual.trials} >= {"uncut", "uncut-int8"}
    with pytest.raises(InputError, match="--max-iou-drop: this graph's output isn't a mask of people"):
        prepare(root, "classifier.onnx", "--max-iou-drop", "0.5")


def test_few_frames_are_divided_between_calibration_and_comparison(root: Path) -> None:
    found, _ = prepare(root, "segmenter.onnx", "--effort", "quick")
    assert (len(found.data), len(found.calibration)) == (8, 4)
    assert not set(found.calibration.names) & set(found.data.names)


def test_several_data_folders_are_combined(root: Path) -> None:
    words = ["--data", str(root / "bare"), "--data", str(SAMPLES), "--calibration", str(root / "data")]
    found, _ = prepare(root, "segmenter.onnx", *words)
    assert set(found.data.kinds.values()) == {"kind0", "kind1", "samples"}
    assert len(found.data) == 21


def test_calibration_frames_may_be_given_separately(root: Path) -> None:
    found, _ = prepare(root, "segmenter.onnx", "--calibration", str(root / "bare"))
    assert (found.calibration.origins, len(found.calibration), len(found.data)) == ((root / "bare",), 9, 12)


def test_a_third_of_many_frames_is_reserved_for_calibration(tmp_path: Path, root: Path) -> None:
    tiny.write_scenes(tmp_path / "many", 99, masks=False)
    found, _ = prepare(root, "segmenter.onnx", "--effort", "quick", "--data", str(tmp_path / "many"))
    assert (len(found.calibration), len(found.data)) == (32, 67)
    assert not set(found.calibration.names) & set(found.data.names)


def test_effort_objective_device_size_and_recipes_reach_the_search(root: Path) -> None:
    words = ["--effort", "quick", "--objective", "latency", "--size", "96x48", "--recipe", "int8", "--device", "AUTO"]
    found, _ = prepare(root, "segmenter.onnx", *words)
    assert (found.effort.name, found.objective, found.device) == ("quick", "latency", "AUTO")
    assert {trial.recipe.name for trial in found.trials} == {"int8", "int8 96x48"}
    assert {trial.configuration.device for trial in found.trials} == {"AUTO"}
    assert found.trials[0].configuration.hint == "latency"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--objective", "speed"], "--objective: expected balanced, throughput or latency, received speed"),
        (["--effort", "quickly"], "--effort: expected one of quick, standard, thorough, received quickly"),
        (["--recipe", "int9"], "no recipe is called int9; did you mean 'int8'"),
        (["--data", "nowhere"], "nowhere: no such folder or video"),
        (["--calibration", "nowhere"], "nowhere: no such folder or video"),
        (
            ["--max-disagreement", "1"],
            "--max-disagreement: this graph's output is a mask of people; use --max-iou-drop",
        ),
    ],
)
def test_an_invalid_argument_is_refused_before_the_run(root: Path, words: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        prepare(root, "segmenter.onnx", *words)


def test_an_existing_version_of_a_different_graph_is_reported(plain: Source, built: Build, tmp_path: Path) -> None:
    """Exports of a framework often have the same name, and would become versions of one model."""
    place = run_places.Places(tmp_path / "models", tmp_path / "runs", tmp_path / "store")
    assert place.describe_namesake("tiny", "0" * 64) == ""
    folder = publish(trial("float", artifact=built(tiny.PLAIN)), plain, tmp_path / "models")
    assert place.describe_namesake("tiny", plain.digest) == ""
    assert place.describe_namesake("tiny", "0" * 64).startswith(f"{folder} was made from another graph; ")
    (folder / "manifest.json").write_text("{}")
    assert place.describe_namesake("tiny", "0" * 64) == ""


def test_unreadable_pictures_are_counted_before_the_run(root: Path, tmp_path: Path) -> None:
    pictures = sorted((tiny.write_scenes(tmp_path / "broken", 9, masks=False)).rglob("*.png"))
    pictures[2].write_bytes(b"")
    pictures[4].write_bytes(b"no picture")
    prepare(root, "segmenter.onnx", "--data", str(root / "bare"))
    with pytest.raises(InputError, match=r"\.png: isn't a picture that can be read"):
        prepare(root, "segmenter.onnx", "--data", str(tmp_path / "broken"))
    with pytest.raises(InputError, match=r"isn't a picture that can be read \(2 of 9 files aren't\)$"):
        prepare(root, "segmenter.onnx", "--data", str(root / "data"), "--calibration", str(tmp_path / "broken"))


def test_a_single_frame_is_refused(root: Path, tmp_path: Path) -> None:
    alone = tiny.write_scenes(tmp_path / "alone", 1)
    with pytest.raises(InputError, match="--data: expected at least two frames"):
        prepare(root, "segmenter.onnx", "--data", str(alone), "--calibration", str(root / "bare"))


def test_calibration_frames_that_are_also_compared_are_refused(root: Path) -> None:
    shared = str(root / "data/images")
    with pytest.raises(
        InputError, match=r"--calibration: 12 of its 12 frames are in --data, too, such as kind0_00\.png"
    ):
        prepare(root, "segmenter.onnx", "--calibration", shared)


@pytest.mark.parametrize("flag", ["--models", "--runs", "--store", "--json"])
def test_an_unwritable_output_path_is_refused_before_the_run(root: Path, flag: str) -> None:
    place = root / "segmenter.onnx" / "below"
    with pytest.raises(MachineError, match=rf"{flag}: .*can't be written \(.*segmenter\.onnx isn't a folder\)"):
        prepare(root, "segmenter.onnx", flag, str(place / "facts.json" if flag == "--json" else place))


def test_an_output_folder_without_write_permission_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_places.os, "access", lambda *_: False)
    with pytest.raises(MachineError, match=r"--models: .*can't be written \(no permission to write in "):
        prepare(root, "segmenter.onnx", "--models", str(root))


def test_json_accepts_standard_output_or_a_file_but_no_folder(root: Path) -> None:
    prepare(root, "segmenter.onnx", "--json", "-")
    with pytest.raises(InputError, match="--json: expected a file, received the folder"):
        prepare(root, "segmenter.onnx", "--json", str(root))


def test_an_unknown_model_is_refused(root: Path) -> None:
    with pytest.raises(InputError, match="no such file, and no such model"):
        prepare(root, "no-such-model")


def test_concurrent_runs_get_different_numbered_folders(tmp_path: Path) -> None:
    (tmp_path / "home/7").mkdir(parents=True)
    (tmp_path / "home/notes").touch()
    gate = threading.Barrier(8)

    def make(_: int) -> Path:
        gate.wait()
        return make_run_folder(tmp_path / "home")

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert sorted(int(path.name) for path in made) == list(range(8, 16))


def test_a_run_folder_that_cannot_be_made_is_reported_as_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written"):
        make_run_folder(tmp_path / "file" / "runs")


@pytest.mark.usefixtures("in_process", "known_race")
def test_a_winner_whose_output_is_not_a_mask_is_published_with_its_meaning(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"--models": "models", "--runs": "runs", "--store": "store", "--json": "facts.json"}
    words = [word for option, name in places.items() for word in (option, str(tmp_path / name))]
    graph, data = str(root / "classifier.onnx"), str(root / "data")
    words = ["optimize", graph, "--data", data, "--effort", "quick", "--max-disagreement", "50", *words]
    arguments = cli.make_parser().parse_args(words)
    KnownRace.speeds = {"uncut-int8": 50.0}
    assert optimize.run(arguments) == 0
    manifest = json.loads((tmp_path / "models/classifier/1/manifest.json").read_text("utf-8"))
    assert [port["meaning"] for port in manifest["outputs"]] == ["scores"]
    assert manifest["inputs"][0]["kind"] == "picture"
    shown = capsys.readouterr().out
    assert "is measured as scores: top-1 and top-5 agreement" in shown
    assert shown.index("is measured as scores") < shown.index("building")
    read = read_run(tmp_path / "runs/classifier/1")
    assert read.trial(read.winner).recipe == "uncut-int8"  # type: ignore[union-attr]
    assert read.masks == ()
    assert read.loss == "disagreement"
    assert read.fastest_baseline == STOCK


def test_the_meaning_of_an_output_can_be_given(root: Path) -> None:
    embedding, _ = prepare(root, "classifier.onnx", "--meaning", "embedding")
    assert [str(kind) for kind in embedding.source.kinds] == ["embedding (given by the user)"]
    mask, _ = prepare(root, "segmenter.onnx", "--meaning", "regions:text")
    assert (mask.source.meaning, mask.source.kinds[0].region) == ("tensors", "text")
    assert mask.budget.limits == {"disagreement": 5.0}
    for words, says in (
        ("score", "--meaning: unknown 'score'; did you mean 'scores'"),
        ("boxes:text", "expected a name for regions only"),
        ("nowhere=scores", "unknown output 'nowhere'"),
    ):
        with pytest.raises(InputError, match=says):
            prepare(root, "classifier.onnx", "--meaning", words)


@pytest.mark.usefixtures("in_process", "known_race")
def test_progress_is_closed_when_a_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from danmatte_workbench.experiment import progress

    closed: list[bool] = []
    monkeypatch.setattr(progress.LineDisplay, "close", lambda self: closed.append(True))
    KnownRace.dropouts = {STOCK: "MachineError: its process died"}
    experiment = make_run(tmp_path).experiment
    words = ["optimize", str(experiment.source.path), "--store", str(tmp_path / "store"), "--runs", str(tmp_path / "r")]
    with pytest.raises(MachineError, match="its process died"):
        optimize.conduct(cli.make_parser().parse_args(words), experiment, ProcessLimits(60.0))
    assert closed == [True]
    assert not (tmp_path / "r").exists()


@pytest.mark.usefixtures("in_process", "known_race")
def test_the_report_is_written_even_if_publishing_fails(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Path:
        raise MachineError("models: can't be written (No space left on device)")

    monkeypatch.setattr("danmatte_workbench.publish.publish", refuse)
    places = {"--models": "models", "--runs": "runs", "--store": "store"}
    words = [word for option, name in places.items() for word in (option, str(tmp_path / name))]
    graph, data = str(root / "classifier.onnx"), str(root / "data")
    arguments = cli.make_parser().parse_args(["optimize", graph, "--data", data, "--effort", "quick", *words])
    with pytest.raises(MachineError, match="No space left"):
        optimize.run(arguments)
    found = read_run(tmp_path / "runs/classifier/1")
    assert found.winner is not None
    assert found.published is None
    assert (tmp_path / "runs/classifier/1/report.html").exists()
