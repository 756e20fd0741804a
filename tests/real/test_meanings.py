"""Graphs from other projects, published by their meaning and served together: people, text, classes and a score."""

import asyncio
import dataclasses
import importlib.util
import shutil
import socket
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http

from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.graph import probing
from danmatte_workbench.publish import publish
from danmatte_workbench.recipe import build_recipe, find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext
from tests.real.shared import ROOT, needed
from tests.service.conftest import Start, start
from tests.workbench import facts

__all__ = ["start"]
pytestmark = [pytest.mark.slow, pytest.mark.data]

SIZE = (512, 512)
LINES = ("Comments pass behind people", "and keep off what is written", "on boards and in subtitles")


def find_text_detector() -> Path:
    """PP-OCR's detector, which the package rapidocr-onnxruntime brings."""
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None or found.origin is None:
        pytest.skip("rapidocr-onnxruntime isn't installed: pip install --no-deps rapidocr-onnxruntime==1.4.4")
    return Path(found.origin).parent / "models/ch_PP-OCRv4_det_infer.onnx"


def publish_uncut(source: Source, models: Path, folder: Path) -> Path:
    """The graph as OpenVINO converts it, published."""
    context = StepContext(source, load(SAMPLES), folder)
    (folder / "uncut").mkdir()
    artifact, _ = build_recipe(find_recipe("uncut", source), context, folder / "uncut/graph.xml")
    return publish(facts.trial("uncut", facts.measured("disagreement", 0), artifact=artifact), source, models)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model, a text detector, a classifier and a model of one score."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(ROOT / "models/deeplab/3", folder / "deeplab/3")
    sources = {
        "text": probing.inspect(find_text_detector(), SIZE),
        "classes": probing.inspect(needed("models/others/mobilenet_v2_1.0_224_quant.tflite")),
        "score": probing.inspect(needed("cases/graphs/vq_hard.onnx")),
    }
    for name, source in sources.items():
        publish_uncut(dataclasses.replace(source, name=name), folder, tmp_path_factory.mktemp(name))
    return folder


def draw_page(height: int, width: int) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """Lines of text on a white page, (height, width, 3) RGB, and where each of them is."""
    page, places = np.full((height, width, 3), 255, np.uint8), []
    for number, line in enumerate(LINES):
        top = height * (number + 1) // 5
        scale = width / 640
        (long, high), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        cv2.putText(page, line, (width // 20, top), cv2.FONT_HERSHEY_SIMPLEX, scale, (0, 0, 0), 2, cv2.LINE_AA)
        places.append((slice(top - high, top), slice(width // 20, width // 20 + long)))
    return page, places


def encode(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


async def ask_for_mask(start: Start, frame: np.ndarray, **query: str) -> np.ndarray:
    server = await start(real=True, model="deeplab")
    answer = await server.post("/v1/mattes", params={"format": "raw"} | query, data=encode(frame))
    assert answer.status == 200, await answer.text()
    return np.frombuffer(await answer.read(), np.uint8).reshape(frame.shape[:2]) > 0


def test_a_text_detector_is_recognised_automatically() -> None:
    found = probing.inspect(find_text_detector(), SIZE)
    assert (found.meaning, found.kinds[0].kind, found.kinds[0].region) == ("tensors", "regions", "text")
    assert "of the lines of drawn pages" in found.kinds[0].reason


async def test_the_lines_of_a_drawn_page_are_found(start: Start) -> None:
    page, places = draw_page(480, 640)
    mask = await ask_for_mask(start, page, region="text")
    lines = np.zeros(mask.shape, bool)
    for place in places:
        # The detector was trained on the cores of lines, so that lines close to each other stay apart.
        assert mask[place].any(axis=0).mean() > 0.85
        lines[place] = True
    around = cv2.dilate(lines.astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert mask[~around].mean() < 0.01


async def test_masks_of_people_and_text_are_combined(start: Start) -> None:
    person = cv2.resize(cv2.imread(str(SAMPLES / "astronaut.jpg"), cv2.IMREAD_COLOR_RGB), (480, 480))
    page, places = draw_page(480, 640)
    frame = np.concatenate([person, page], axis=1)
    people, text, both = [await ask_for_mask(start, frame, region=names) for names in ("person", "text", "person,text")]
    assert np.array_equal(both, people | text)
    assert people[:, :480].mean() > 0.2
    for rows, columns in places:
        assert text[rows, slice(columns.start + 480, columns.stop + 480)].any(axis=0).mean() > 0.85
    assert people[:, 500:].mean() < 0.02


@pytest.mark.parametrize("library", [tritonclient.http, tritonclient.grpc], ids=["http", "grpc"])
async def test_models_of_every_meaning_are_served_over_v2(start: Start, library) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = await start(real=True, model="deeplab", grpc_port=port)
    address = f"127.0.0.1:{port}" if library is tritonclient.grpc else f"{server.host}:{server.port}"
    pictures = np.array([(SAMPLES / "cat.jpg").read_bytes()], np.object_)

    def ask(model: str) -> np.ndarray:
        with library.InferenceServerClient(address) as client:
            described = client.get_model_metadata(model)
            names = described["inputs"][0]["name"] if isinstance(described, dict) else described.inputs[0].name
            sent = library.InferInput(names, [1], "BYTES")
            sent.set_data_from_numpy(pictures)
            outputs = described["outputs"] if isinstance(described, dict) else described.outputs
            first = outputs[0]["name"] if isinstance(outputs[0], dict) else outputs[0].name
            return client.infer(model, [sent]).as_numpy(first)

    found = {name: await asyncio.to_thread(ask, name) for name in ("deeplab", "text", "classes", "score")}
    assert found["deeplab"].shape == (1, 105, 105, 1)
    assert found["text"].shape == (1, 1, 512, 512)
    assert 281 <= found["classes"].argmax() - 1 <= 285  # ImageNet's cats, after the background
    assert found["score"].size == 1


async def test_models_of_every_meaning_are_served_over_tensorflow_servings_rest(start: Start) -> None:
    server = await start(real=True, model="deeplab")
    picture = {"b64": b64encode((SAMPLES / "cat.jpg").read_bytes()).decode()}
    for name, size in (("deeplab", 105 * 105), ("text", 512 * 512), ("classes", 1001), ("score", 1)):
        answer = await server.post(f"/v1/models/{name}:predict", json={"instances": [picture]})
        assert answer.status == 200, await answer.text()
        assert np.array((await answer.json())["predictions"]).size == size
