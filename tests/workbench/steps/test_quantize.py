"""Quantization: options are checked and reach NNCF, and accuracy control meets its limit and caches its figures."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openvino import opset13 as ops

from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset, FrameFile
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import preprocessing
from danmatte_workbench.quantization.options import QuantizationOptions
from danmatte_workbench.runtimes import nncf, openvino
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Quantize, StepContext
from danmatte_workbench.steps.quantize import choose_validation_frames
from tests.workbench import inner, tiny
from tests.workbench.conftest import Build

F32 = configure(precision="f32")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"preset": "mixd"}, "preset: expected performance or mixed, found 'mixd'; did you mean 'mixed"),
        ({"bias_correction": "slow"}, "bias_correction: expected fast, accurate or none, found 'slow'"),
        ({"overflow_fix": "enabled"}, "did you mean 'enable"),
        ({"activations_max": "quantile"}, "expected statistic/aggregator, such as quantile/mean, found 'quantile'"),
        ({"activations_max": "quantil/mean"}, "activations_max: statistic: .* did you mean 'quantile"),
        ({"weights_min": "min/mediam"}, "weights_min: aggregator: .* did you mean 'median"),
        ({"outliers": 0.7}, "outliers: expected a number from 0 to 0.5, found 0.7"),
        ({"ignored_names": "one"}, "ignored_names: expected a list of texts, found 'one'"),
        ({"ignored_patterns": ("(",)}, "isn't a regular expression"),
        ({"frames": 0}, "frames: expected a whole number above 0, found 0"),
        ({"frames": True}, "frames: expected a whole number above 0, found True"),
        ({"channel_alignment": 1}, "channel_alignment: expected true or false, found 1"),
        ({"max_drop": -1}, "max_drop: expected a number from 0 to 100, found -1"),
        ({"max_drop": True}, "max_drop: expected a number"),
    ],
)
def test_an_invalid_option_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Quantize(**fields)


def noise(count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, inner.SIDE, inner.SIDE, 3), np.uint8) for _ in range(count)]


def quantized(folder: Path, **fields: Any) -> tuple[Path, list[str]]:
    """Return the graph of inner channels quantized, and the kinds of quantizers by the node before them."""
    model = openvino.read(inner.write(folder / "whole.xml").path)
    made = nncf.quantize(model, noise(), QuantizationOptions(**fields))
    quantizers = [node for node in made.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
    return openvino.save(made, folder / "made.xml").path, [node.get_friendly_name() for node in quantizers]


@pytest.mark.parametrize(
    "fields",
    [
        {"bias_correction": "none"},
        {"activations_max": "abs_quantile/median", "outliers": 0.2},
        {"overflow_fix": "enable"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_options_of_quantization_change_the_outputs(tmp_path: Path, fields: dict[str, Any]) -> None:
    usual, _ = quantized(tmp_path / "usual")
    other, _ = quantized(tmp_path / "other", **fields)
    picture = noise()[0]
    assert not np.array_equal(openvino.make_runner(usual, F32)(picture), openvino.make_runner(other, F32)(picture))


def test_the_mixed_preset_gives_a_lopsided_range_no_empty_half(built: Build) -> None:
    """A graph that subtracts 90 has more values above zero than below."""
    ends = {}
    for preset in ("performance", "mixed"):
        model = openvino.read(built(tiny.PLAIN).path)
        subtraction = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Subtract")
        subtraction.input(1).replace_source_output(ops.constant(np.float32(90)).output(0))
        made = nncf.quantize(model, [tiny.scene(1, 65, 65)[0][None]], QuantizationOptions(preset=preset))
        quantizers = [node for node in made.get_ordered_ops() if node.get_type_name() == "FakeQuantize"]
        first = next(node for node in quantizers if node.input_value(0).get_node().get_type_name() == "Multiply")
        ends[preset] = float(first.input_value(1).get_node().get_data().min())
    assert 1.2 * ends["mixed"] > ends["performance"]
    assert ends["mixed"] < 0


def test_accurate_bias_correction_and_channel_alignment_can_be_combined(tmp_path: Path) -> None:
    path, _ = quantized(tmp_path, bias_correction="accurate", channel_alignment=True)
    whole = openvino.make_runner(tmp_path / "whole.xml", F32)(noise()[0])
    assert np.abs(openvino.make_runner(path, F32)(noise()[0]) - whole).mean() < 0.05


@pytest.mark.parametrize("scope", ["ignored_names", "ignored_patterns", "ignored_types"])
def test_ignored_nodes_stay_in_floating_point(tmp_path: Path, scope: str) -> None:
    model = openvino.read(inner.write(tmp_path / "graph.xml").path)
    depthwise = next(node for node in model.get_ordered_ops() if node.get_type_name() == "GroupConvolution")
    word = "GroupConvolution" if scope == "ignored_types" else depthwise.get_friendly_name()
    made = nncf.quantize(model, noise(), QuantizationOptions(**{scope: (word,)}))
    kinds = {
        node.get_type_name(): node.input_value(1).get_node().get_type_name()
        for node in made.get_ordered_ops()
        if "Convolution" in node.get_type_name()
    }
    assert (kinds["GroupConvolution"], kinds["Convolution"]) == ("Constant", "Multiply")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"ignored_names": ("Convolutoin_5",)}, "has no Convolutoin_5; did you mean 'Convolution_"),
        ({"ignored_types": ("GroupConvolutions",)}, r"did you mean 'GroupConvolution'\?"),
        ({"ignored_patterns": ("nothing.*",)}, "'nothing.*' matches no node, such as"),
    ],
)
def test_an_unknown_ignored_word_is_reported_with_the_nearest(tmp_path: Path, fields: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        quantized(tmp_path, **fields)


def test_bytes_are_fed_to_the_first_convolution_without_a_quantizer(built: Build) -> None:
    for wanted in (tiny.PLAIN, tiny.BGR):
        model = openvino.read(built(wanted, "int8").path)
        node = model.get_parameters()[0]
        kinds = []
        while node.get_type_name() != "Convolution":
            (consumer,) = node.output(0).get_target_inputs()
            node = consumer.get_node()
            kinds.append(node.get_type_name())
        assert "FakeQuantize" not in kinds
        subtraction = next(node for node in model.get_ordered_ops() if node.get_type_name() == "Subtract")
        (point,) = subtraction.input_value(1).get_node().get_data().ravel()
        assert point == round(float(point))


@pytest.mark.parametrize("wanted", [tiny.PLAIN, tiny.BGR], ids=lambda wanted: wanted.name)
def test_feeding_bytes_hardly_changes_the_masks(built: Build, wanted: tiny.Tiny) -> None:
    exact = openvino.make_runner(built(wanted).path, F32)
    bytes_fed = openvino.make_runner(built(wanted, "int8").path, F32)
    for seed in range(6):
        picture = tiny.scene(seed, 65, 65)[0][None]
        assert ((exact(picture) > 0.5) == (bytes_fed(picture) > 0.5)).mean() > 0.99


def test_a_graph_that_takes_other_pixels_than_rgb_is_refused(
    built: Build, plain: Source, labelled, tmp_path: Path
) -> None:
    model = preprocessing.set_pixel_format(openvino.read(built(tiny.PLAIN).path), "BGR")
    path = openvino.save(model, tmp_path / "bgr.xml").path
    with pytest.raises(InputError, match="expected uint8 RGB input"):
        Quantize().apply(path, tmp_path / "graph.xml", StepContext(plain, labelled))


CONTROLLED = """
import sys
from pathlib import Path
from danmatte_workbench import dataset, source
from danmatte_workbench.steps import StepContext, Quantize

place = Path(sys.argv[1])
context = StepContext(source.read(place / "graph/model.toml"), dataset.load(place / "data"))
step = Quantize(max_drop=float(sys.argv[2]), frames=2, checked_frames=6, ranking_frames=3, ignored_names=())
print(step.apply(place / "float.xml", place / "graph.xml", context)[1])
"""


def start_control(place: Path, max_drop: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CONTROLLED, str(place), max_drop]
    environment = {**os.environ, "WORKBENCH_CACHE": str(place / "cache")}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def place(tmp_path: Path, built: Build) -> Path:
    tiny.write(tmp_path / "graph", tiny.PLAIN)
    tiny.write_scenes(tmp_path / "data", 8, masks=False)
    openvino.save(openvino.read(built(tiny.PLAIN).path), tmp_path / "float.xml")
    return tmp_path


def journal(place: Path) -> list[str]:
    return [line for path in place.glob("cache/rankings/*.jsonl") for line in path.read_text().splitlines()]


def test_accuracy_control_reverts_layers_until_the_drop_is_within_its_limit(place: Path) -> None:
    output, progress = start_control(place, "0.0001").communicate()
    note = output.splitlines()[-1]
    assert "groups of layers back in f32" in note
    assert not note.startswith("performance, 2 frames, 0 groups")
    assert progress.count("quantize: ") >= 2


def test_a_run_after_a_kill_repeats_no_measurement(place: Path) -> None:
    first = start_control(place, "0.0001")
    deadline = time.monotonic() + 300  # on a busy machine
    while len(journal(place)) < 4 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    _, errors = first.communicate()
    before = journal(place)
    assert len(before) >= 4, errors
    second = start_control(place, "0.0001")
    second.communicate()
    assert second.returncode == 0
    after = journal(place)
    keys = [json.loads(line)[0] for line in after]
    assert len(set(keys)) == len(keys)
    assert after[: len(before)] == before


def test_accuracy_is_checked_on_frames_of_all_kinds_outside_calibration() -> None:
    files = [FrameFile(f"{kind}{n:02}", Path("x"), "", False, kind, f"{kind}{n}") for kind in "ab" for n in range(50)]
    data = Dataset(tuple(files))
    checked = choose_validation_frames(data, 40, 30)
    assert Counter(checked.kinds.values()) == {"a": 15, "b": 15}
    assert not set(checked.names) & set(data.pick(40).names)
    # If there are too few, some are used for both.
    few = choose_validation_frames(data.pick(50), 40, 30)
    assert len(few) == 30
    assert set(few.names) >= set(data.pick(50).names) - set(data.pick(40).names)
    assert choose_validation_frames(data.pick(20), 40, 30) == data.pick(20)


def test_accurate_bias_correction_has_a_longer_estimated_time() -> None:
    fast, accurate = (Quantize(bias_correction=kind).estimate_s(32, 0.1) for kind in ("fast", "accurate"))
    assert accurate > 5 * fast
