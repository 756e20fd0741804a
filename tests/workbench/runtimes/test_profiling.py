"""Time per layer, and facts about graphs from OpenVINO."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.profiling import read_precision, time_layers
from tests.workbench.small_graphs import Chain, answer, noise, run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = Chain(33, 33).conv(16, "first", side=3).relu().conv(4, "second").model()
    return openvino.save(model, tmp_path_factory.mktemp("graph") / "graph.xml").path


def test_every_layer_has_a_time_for_each_run(path: Path) -> None:
    times = time_layers(path, configure(), [noise(openvino.read(path))], runs=3)
    assert {len(values) for values in times.values()} == {3}
    assert all(value >= 0 for values in times.values() for value in values)
    names = {name for name, _, _ in times}
    assert any("second" in name for name in names)


@pytest.mark.parametrize(("count", "runs"), [(0, 3), (1, 0)])
def test_timing_without_pictures_or_runs_is_refused(path: Path, count: int, runs: int) -> None:
    values = [noise(openvino.read(path))] * count
    with pytest.raises(InputError, match=rf"^profile: expected pictures and runs, received {count} and {runs}$"):
        time_layers(path, configure(), values, runs=runs)


def test_the_precision_is_the_requested_one(path: Path) -> None:
    assert read_precision(path, configure(precision="f32")) == "f32"


def test_an_unknown_device_raises_a_machine_error(path: Path) -> None:
    with pytest.raises(MachineError, match=r"^NOSUCH can't run graph\.xml: "):
        time_layers(path, configure(device="NOSUCH"), [noise(openvino.read(path))], runs=1)


def test_a_missing_graph_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no\.xml: OpenVINO can't read it"):
        read_precision(tmp_path / "no.xml", configure())


def test_a_fingerprint_depends_on_the_operations_and_not_on_names() -> None:
    def fingerprint(name: str, outputs: int) -> str:
        model = Chain().conv(outputs, name, side=3).relu().model()
        return openvino.compute_fingerprint(openvino.compile_model(model))

    assert fingerprint("one", 8) == fingerprint("another name", 8)
    assert fingerprint("one", 8) != fingerprint("one", 9)


def test_a_later_call_does_not_overwrite_copied_outputs() -> None:
    model = Chain().conv(3, "first").model()
    ask = openvino.copy_answers(openvino.compile_model(model))
    (first,) = ask(noise(model, 1))
    kept = np.array(first)
    ask(noise(model, 2))
    assert np.array_equal(first, kept)


def test_all_outputs_are_returned_in_order() -> None:
    chain = Chain().conv(3, "first")
    inner = chain.value
    model = chain.conv(5, "second").model(inner)
    answers = openvino.make_runner_of_all(openvino.compile_model(model))(noise(model))
    for found, expected in zip(answers, run(model, noise(model)), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


def test_generated_names_are_numbered_by_their_position() -> None:
    def names() -> list[str]:
        model = Chain().conv(3, "first").relu().model()
        openvino.renumber_names(model)
        return [node.get_friendly_name() for node in model.get_ordered_ops()]

    assert names() == names()
    assert "first" in names(), "given names stay"


def test_the_same_graph_saved_twice_has_the_same_digest(tmp_path: Path) -> None:
    first, second = (
        openvino.save(Chain().conv(3, "first").relu().model(), tmp_path / name / "graph.xml") for name in "ab"
    )
    assert first.digest == second.digest


def test_variable_sides_have_the_size_minus_one() -> None:
    model = Chain().conv(3, "first").model()
    model.reshape([1, 3, -1, -1])
    assert openvino.to_shape(model.input(0)) == (1, 3, -1, -1)


def test_the_first_precision_of_this_cpu_is_f32() -> None:
    assert openvino.list_precisions()[0] == "f32"


def test_the_default_configuration_computes_in_f32(path: Path) -> None:
    model = openvino.read(path)
    assert isinstance(openvino.compile_model(model), ov.CompiledModel)
    exact = openvino.make_runner(path, openvino.F32)(noise(model))
    assert exact == pytest.approx(answer(model, noise(model)), abs=1e-5)
