"""TFLite's own interpreter: sizes, layouts and types of inputs, and stored tensors."""

from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import tflite
from tests.workbench import graphs

SIZE = (graphs.SIDE, graphs.SIDE)


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_tflite(tmp_path_factory.mktemp("tflite") / "floats.tflite")


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graphs.write_tflite(tmp_path_factory.mktemp("tflite") / "eight.tflite", bits=8)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, *size, 3), dtype=np.uint8)


def test_a_float_graph_takes_bytes_and_gives_the_outputs_of_keras(floats: Path) -> None:
    (found,) = tflite.make_runner(floats, size=SIZE, fetches=(), threads=1)(picture())
    expected = graphs.network()(picture().astype(np.float32)).numpy()
    assert found == pytest.approx(expected, abs=1e-3)


def test_an_8_bit_graph_gives_nearly_the_classes_of_the_float_graph(eight: Path, floats: Path) -> None:
    seen = picture()
    (rough,), (exact,) = (tflite.make_runner(path, size=SIZE, fetches=(), threads=1)(seen) for path in (eight, floats))
    assert (rough.argmax(axis=-1) == exact.argmax(axis=-1)).mean() > 0.97


def test_a_later_call_does_not_overwrite_earlier_outputs(floats: Path) -> None:
    run = tflite.make_runner(floats, size=SIZE, fetches=(), threads=1)
    (first,) = run(picture(0))
    kept = first.copy()
    run(picture(1))
    assert np.array_equal(first, kept)


def test_outputs_are_found_by_name(floats: Path) -> None:
    with pytest.raises(InputError, match=r"floats\.tflite: has no output nothing; it has \S+") as refused:
        tflite.make_runner(floats, size=SIZE, fetches=("nothing",), threads=1)
    name = str(refused.value).partition("it has ")[2]
    (found,) = tflite.make_runner(floats, size=SIZE, fetches=(name,), threads=2)(picture())
    assert found.shape == (1, *SIZE, 2)


def test_a_picture_of_an_unexpected_size_is_refused(floats: Path) -> None:
    run = tflite.make_runner(floats, size=SIZE, fetches=(), threads=1)
    with pytest.raises(InputError, match=r"floats\.tflite: TFLite can't run it: "):
        run(picture(size=(8, 8)))


@pytest.mark.parametrize("content", [b"", b"\x20\0\0\0TFL3", b"hello, I am no graph"])
def test_a_file_that_is_not_a_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "no.tflite").write_bytes(content)
    with pytest.raises(InputError, match=r"no\.tflite: TFLite can't run it: "):
        tflite.make_runner(tmp_path / "no.tflite", size=SIZE, fetches=(), threads=1)


def test_stored_tensors_have_their_scale_and_zero_point(eight: Path) -> None:
    tensors = tflite.read_tensors(eight)
    assert tensors
    for name, (values, scale, zero) in tensors.items():
        assert name
        assert values.dtype in (np.int8, np.int32, np.uint8)
        assert scale > 0
        assert -128 <= zero <= 255


def test_a_float_graph_has_no_quantized_tensors(floats: Path) -> None:
    assert tflite.read_tensors(floats) == {}
