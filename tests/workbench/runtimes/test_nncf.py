"""Quantization: options reach NNCF, and its errors are translated."""

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.quantization.options import QuantizationOptions
from danmatte_workbench.runtimes import nncf
from tests.workbench.small_graphs import Chain, answer, kinds, noise


def network() -> ov.Model:
    return (
        Chain(17, 17, last=True)
        .conv(8, "first", side=3)
        .relu()
        .conv(8, "second", side=3)
        .relu()
        .conv(2, "third")
        .model()
    )


def pictures(count: int = 3) -> list[np.ndarray]:
    return [noise(network(), seed) for seed in range(count)]


def quantizers(model: ov.Model) -> int:
    return kinds(model).count("FakeQuantize")


@pytest.fixture(scope="module")
def plain() -> ov.Model:
    return nncf.quantize(network(), pictures())


def test_a_quantized_graph_gives_nearly_the_same_outputs(plain: ov.Model) -> None:
    exact, rough = (answer(model, noise(network(), 9)) for model in (network(), plain))
    assert quantizers(plain) > 0
    assert 0 < np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()


@pytest.mark.parametrize(
    "options",
    [
        QuantizationOptions(ignored_names=("second",)),
        QuantizationOptions(ignored_patterns=("sec.*",)),
        QuantizationOptions(ignored_types=("Convolution",)),
    ],
    ids=["name", "pattern", "type"],
)
def test_ignored_nodes_stay_in_floating_point(plain: ov.Model, options: QuantizationOptions) -> None:
    assert quantizers(nncf.quantize(network(), pictures(), options)) < quantizers(plain)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            QuantizationOptions(ignored_names=("secnd",)),
            r"ignored_names: the graph has no secnd; did you",
        ),
        (QuantizationOptions(ignored_types=("Convolutions",)), r"ignored_types: the graph has no Convolutions; did"),
        (QuantizationOptions(ignored_patterns=("x.*",)), r"ignored_patterns: 'x\.\*' matches no node, such as "),
    ],
)
def test_an_ignored_word_that_matches_no_node_is_refused(options: QuantizationOptions, says: str) -> None:
    with pytest.raises(InputError, match=f"^quantize: {says}"):
        nncf.quantize(network(), pictures(), options)


@pytest.mark.parametrize(
    "options",
    [
        QuantizationOptions(preset="mixed"),
        QuantizationOptions(bias_correction="none"),
        QuantizationOptions(overflow_fix="enable", channel_alignment=True),
        QuantizationOptions(activations_max="quantile/mean", weights_min="min/min", outliers=0.01),
    ],
    ids=["mixed", "no bias correction", "overflow", "ranges"],
)
def test_every_option_makes_a_graph_that_runs(options: QuantizationOptions) -> None:
    model = nncf.quantize(network(), pictures(), options)
    assert answer(model, noise(network())).shape == (1, 2, 17, 17)


def test_the_overflow_fix_changes_the_outputs(plain: ov.Model) -> None:
    """Half the range is for CPUs without VNNI, because sums don't saturate then."""
    fixed = nncf.quantize(network(), pictures(), QuantizationOptions(overflow_fix="enable"))
    picture = noise(network(), 3)
    assert not np.array_equal(answer(fixed, picture), answer(plain, picture))


def test_accuracy_control_reverts_layers_until_the_judge_accepts() -> None:
    """The judge accepts only the outputs of the float graph, so all layers are reverted."""
    exact, frames = network(), pictures(4)
    right = [answer(exact, picture) for picture in frames]
    judged: list[list[int]] = []

    def judge(compiled: ov.CompiledModel, numbers) -> list[float]:
        judged.append(list(numbers))
        return [float(np.allclose(compiled([frames[number]])[0], right[number], atol=1e-6)) for number in numbers]

    options = QuantizationOptions(max_drop=0.01, ranking_frames=2)
    model = nncf.quantize_with_control(exact, frames, options, judge=judge, frames=4)
    assert quantizers(model) == 0
    assert [0, 1, 2, 3] in judged
    assert any(len(numbers) == 2 for numbers in judged), "layers are ranked on the ranking frames"


def test_accuracy_control_keeps_all_layers_in_8_bits_if_the_judge_accepts(plain: ov.Model) -> None:
    model = nncf.quantize_with_control(
        network(),
        pictures(),
        QuantizationOptions(max_drop=1.0),
        judge=lambda _, numbers: [1.0] * len(numbers),
        frames=3,
    )
    assert quantizers(model) == quantizers(plain)


@pytest.mark.parametrize("kind", ["ValidationError", "ParameterNotSupportedError", "InternalError"])
def test_errors_of_nncf_become_input_errors(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def complain(*_: object, **__: object) -> ov.Model:
        raise getattr(nncf.nncf, kind)("no such thing")

    monkeypatch.setattr(nncf.nncf, "quantize", complain)
    with pytest.raises(InputError, match=r"^NNCF can't quantize this graph: no such thing$") as raised:
        nncf.quantize(network(), pictures())
    assert raised.value.__cause__ is not None


def test_errors_of_openvino_during_quantization_become_input_errors() -> None:
    with pytest.raises(InputError, match=r"^NNCF can't quantize this graph: "):
        nncf.quantize(network(), [np.zeros((1, 4, 4, 5), np.float32)])
