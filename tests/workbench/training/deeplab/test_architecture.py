"""The default network: lean where it must be."""

import pytest

from danmatte_workbench.training.deeplab import architecture


@pytest.fixture(scope="module")
def counts() -> dict[str, int]:
    return architecture.multiply_adds(architecture.build())


def test_the_decoder_takes_at_most_fifteen_percent_of_the_multiply_adds(counts: dict[str, int]) -> None:
    decoder = sum(count for name, count in counts.items() if name.startswith(("decoder", "logits")))
    assert 0 < decoder <= 0.15 * sum(counts.values())


def test_multiply_adds_are_counted_by_hand(counts: dict[str, int]) -> None:
    assert counts["MobilenetV2-Conv"] == 257 * 257 * 32 * 3 * 3 * 3
    assert counts["MobilenetV2-expanded_conv-depthwise"] == 257 * 257 * 32 * 3 * 3
    assert counts["logits-semantic"] == 129 * 129 * 2 * counts_of_inputs()


def counts_of_inputs() -> int:
    """Channels that the last convolution reads."""
    return architecture.build((17, 17)).get_layer("logits-semantic").input.shape[-1]


@pytest.mark.parametrize("size", [(17, 17), (33, 65), (513, 513)])
def test_logits_have_a_quarter_of_the_resolution(size: tuple[int, int]) -> None:
    height, width = size
    assert architecture.build(size).output.shape == (None, (height + 3) // 4, (width + 3) // 4, 2)


@pytest.mark.parametrize("size", [(512, 512), (513, 512), (16, 17)])
def test_a_size_that_strides_cannot_divide_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"16·k \+ 1"):
        architecture.build(size)


def test_weights_do_not_depend_on_the_size() -> None:
    small, large = (architecture.build(size) for size in ((17, 17), (33, 49)))
    assert [weight.shape for weight in small.weights] == [weight.shape for weight in large.weights]
