"""Models of every meaning in one server, over every protocol, with clients that aren't specific to danmatte."""

import asyncio
import json
import socket
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http

from tests.service import pictures
from tests.service.conftest import Start
from tests.service.ports import MEANINGS, publish_meaning
from tests.service.toy import Toy, publish

GREEN, RED, GREY = (0, 255, 0), (255, 0, 0), (51, 51, 51)
FRAME = (96, 160)
LIBRARIES = {"http": tritonclient.http, "grpc": tritonclient.grpc}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Toy models: one finds people where it is green, one finds text where it is red, and one of each other meaning."""
    root = tmp_path_factory.mktemp("meanings")
    publish(root, Toy(channel=1, rule="stretch"))
    for meaning in MEANINGS:
        publish_meaning(root, meaning)
    return root


def paint(*patches: tuple[slice, tuple[int, int, int]]) -> np.ndarray:
    """Return a black frame, (96, 160, 3), with these columns in colour."""
    frame = np.zeros((*FRAME, 3), np.uint8)
    for columns, colour in patches:
        frame[:, columns] = colour
    return frame


COMPOSED = paint((slice(0, 40), GREEN), (slice(120, 160), RED))


class Client:
    """Triton's client, over HTTP or gRPC, for a server that runs on this event loop."""

    def __init__(self, kind: str, address: str) -> None:
        self._library, self._address = LIBRARIES[kind], address

    async def infer(self, model: str, **inputs: tuple[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return all outputs by name."""

        def ask() -> dict[str, np.ndarray]:
            with self._library.InferenceServerClient(self._address) as client:
                sent = []
                for name, (datatype, values) in inputs.items():
                    sent.append(self._library.InferInput(name, list(values.shape), datatype))
                    sent[-1].set_data_from_numpy(values)
                answer = client.infer(model, sent)
                described = answer.get_response()
                if self._library is tritonclient.http:
                    return {each["name"]: answer.as_numpy(each["name"]) for each in described["outputs"]}
                return {each.name: answer.as_numpy(each.name) for each in described.outputs}

        return await asyncio.to_thread(ask)


@pytest.fixture(params=LIBRARIES)
async def client(request: pytest.FixtureRequest, start: Start) -> Client:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    server = await start(real=True, model="toy", grpc_port=port)
    return Client(request.param, f"127.0.0.1:{port}" if request.param == "grpc" else f"{server.host}:{server.port}")


def encode(frame: np.ndarray) -> np.ndarray:
    """Return the frame as an encoded picture in a client's input."""
    return np.array([pictures.encoded(".png", frame)], np.object_)


async def test_the_size_of_region_maps_follows_that_of_the_picture(client: Client) -> None:
    frame = paint((slice(120, 160), RED))
    pixels = cv2.resize(frame, (96, 64), interpolation=cv2.INTER_AREA)[None]
    for sent in (("UINT8", pixels), ("BYTES", encode(pixels[0]))):
        maps = (await client.infer("regions", picture=sent))["maps"]
        assert maps.shape == (1, 2, 32, 48)
        text, logo = maps[0]
        assert text[:, 37:].min() == pytest.approx(1)
        assert (text[:, :35].max(), logo.max()) == (0, 0)


async def test_a_batch_of_encoded_pictures_of_different_sizes_is_refused(client: Client) -> None:
    several = np.array([pictures.encoded(".png", np.zeros((side, side, 3), np.uint8)) for side in (32, 96)], np.object_)
    with pytest.raises(tritonclient.grpc.InferenceServerException, match="maps: expected one size"):
        await client.infer("regions", picture=("BYTES", several))


async def test_a_classifier_gets_its_channel_order_and_layout(client: Client) -> None:
    """The model takes BGR floats, channels first, so that its classes are blue, green and red."""
    frame = np.full((*FRAME, 3), GREEN, np.uint8)
    scores = (await client.infer("scores", picture=("BYTES", encode(frame))))["classes"]
    assert scores == pytest.approx(np.array([[0, 1, 0]]))
    planes = np.zeros((2, 3, 64, 64), np.float32)
    planes[0, 2], planes[1, 0] = 255, 51
    scores = (await client.infer("scores", picture=("FP32", planes)))["classes"]
    assert scores == pytest.approx(np.array([[0, 0, 1], [0.2, 0, 0]]))


async def test_a_detector_returns_boxes_with_their_probabilities(client: Client) -> None:
    answer = await client.infer("boxes", picture=("BYTES", encode(np.full((*FRAME, 3), 255, np.uint8))))
    assert answer["boxes"].tolist() == [[[0, 0, 1, 1]], [[0, 0, 0.5, 0.5]]]
    assert answer["chances"].tolist() == [1, 0.5]


async def test_a_scoring_model_returns_one_number_for_a_picture(client: Client) -> None:
    light = await client.infer("score", picture=("BYTES", encode(np.full((*FRAME, 3), GREY, np.uint8))))
    assert light["light"] == pytest.approx(np.array([[51]]))


async def test_tensor_models_accept_different_datatypes_and_dynamic_sides(client: Client) -> None:
    state = np.array([[1, 2, 3], [4, 5, 2**30]], np.int64)
    answer = await client.infer("tensor", sound=("FP32", np.full((1, 5), 2, np.float32)), state=("INT64", state))
    assert answer["next"].tolist() == (state + 10).tolist()


@pytest.mark.parametrize(
    ("model", "inputs", "says"),
    [
        ("tensor", {"sound": ("FP32", np.zeros((1, 4), np.float32))}, "expected 'sound', 'state' once each"),
        ("tensor", {"sound": ("FP32", np.zeros((1, 513), np.float32)), "state": ("INT64", np.zeros((2, 3), np.int64))},
         "shape: expected \\[1, -1\\] with sides of 1 to 512"),
        ("tensor", {"sound": ("FP64", np.zeros((1, 4))), "state": ("INT64", np.zeros((2, 3), np.int64))},
         "expected FP32, received"),
        ("tensor", {"sound": ("FP32", np.zeros((1, 4), np.float32)), "state": ("INT64", np.full((2, 3), 2**40))},
         "state: expected -2147483648 to 2147483647, because it is computed in 32 bits, received 1099511627776"),
        ("regions", {"picture": ("UINT8", np.zeros((1, 33, 64, 3), np.uint8))}, "32 to 96 by 32"),
        ("boxes", {"picture": ("UINT8", np.zeros((2, 64, 64, 3), np.uint8))}, "expected \\[1, 64, 64, 3\\]"),
        ("score", {"picture": ("UINT8", np.zeros((1, 3, 64, 64), np.uint8))}, "expected FP32 or BYTES"),
    ],
)  # fmt: skip
async def test_inputs_that_contradict_the_manifest_are_refused(
    client: Client, model: str, inputs: dict, says: str
) -> None:
    with pytest.raises(tritonclient.grpc.InferenceServerException, match=says):
        await client.infer(model, **inputs)


async def test_metadata_describes_ports_labels_and_box_columns(start: Start) -> None:
    server = await start(real=True, model="toy")
    described = await (await server.get("/v2/models/tensor")).json()
    assert described["inputs"] == [
        {"name": "sound", "datatype": "FP32", "shape": [1, -1]},
        {"name": "state", "datatype": "INT64", "shape": [2, 3]},
    ]
    config = await (await server.get("/v2/models/scores/config")).json()
    assert (config["max_batch_size"], config["input"][0]["format"]) == (32, "FORMAT_NCHW")
    assert json.loads(config["parameters"]["labels"]["string_value"]) == ["blue", "green", "red"]
    config = await (await server.get("/v2/models/boxes/config")).json()
    assert (config["max_batch_size"], config["input"][0]["dims"]) == (0, [1, 64, 64, 3])
    assert config["parameters"]["columns.boxes"]["string_value"] == "x1,y1,x2,y2"
    models = {
        model["name"]: model["versions"][0] for model in (await (await server.get("/v1/models")).json())["models"]
    }
    assert models["regions"]["regions"] == ["text", "logo"]
    assert models["boxes"]["outputs"] == {"boxes": "boxes", "chances": "tensor"}
    assert "input" not in models["tensor"]


async def test_tensorflow_servings_rest_api_serves_models_of_every_meaning(start: Start) -> None:
    server = await start(real=True, model="toy")

    async def predict(model: str, **body: object) -> dict[str, object]:
        answer = await server.post(f"/v1/models/{model}:predict", json=body)
        assert answer.status == 200, await answer.text()
        return await answer.json()

    green, white = (
        {"b64": b64encode(pictures.encoded(".png", np.full((*FRAME, 3), colour, np.uint8))).decode()}
        for colour in (GREEN, (255, 255, 255))
    )
    assert await predict("scores", instances=[green, {"picture": white}]) == {"predictions": [[0, 1, 0], [1, 1, 1]]}
    assert await predict("score", instances=[white]) == {"predictions": [[255]]}
    assert await predict("boxes", inputs=white) == {
        "outputs": {"boxes": [[[0, 0, 1, 1]], [[0, 0, 0.5, 0.5]]], "chances": [1, 0.5]}
    }
    state = [[1, 2, 3], [4, 5, 2**30]]
    found = await predict("tensor", inputs={"sound": [[0.5, 1.5]], "state": state})
    assert found == {"outputs": (np.array(state) + 2).tolist()}
    maps = await predict("regions", instances=[np.full((32, 64, 3), RED, np.uint8).tolist()])
    assert np.array(maps["predictions"]).shape == (1, 2, 16, 32)
    for model, body, says in (
        ("tensor", {"instances": [{"sound": [1], "state": [1]}]}, "one item at a time"),
        ("tensor", {"inputs": [[1]]}, "an object of 'sound', 'state'"),
        ("tensor", {"inputs": {"sound": [[1]], "state": [[1, 2], [3]]}}, "expected 6 numbers"),
        ("scores", {"signature_name": "mask", "instances": [white]}, "unknown 'mask'"),
    ):
        answer = await server.post(f"/v1/models/{model}:predict", json=body)
        assert (answer.status, says in (await answer.json())["error"]) == (400, True), await answer.text()


async def ask_for_mask(start: Start, frame: np.ndarray, **query: str) -> tuple[np.ndarray, dict[str, str]]:
    """Return a frame's mask, and the headers of the response."""
    server = await start(real=True, model="toy")
    parameters = {"format": "raw"} | query
    answer = await server.post("/v1/mattes", params=parameters, data=pictures.encoded(".png", frame))
    assert answer.status == 200, await answer.text()
    return np.frombuffer(await answer.read(), np.uint8).reshape(FRAME), dict(answer.headers)


async def test_regions_of_several_models_are_combined_into_one_mask(start: Start) -> None:
    mask, headers = await ask_for_mask(start, COMPOSED, region="person,text")
    painted = (mask == 255).mean(axis=0)
    assert (painted[:36] == 1).all()
    assert (painted[124:] == 1).all()
    assert (painted[44:116] == 0).all()
    assert headers["X-Models"] == "toy/1, regions/1"
    assert float(headers["X-Person-Coverage"]) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("query", "left", "right"),
    [
        ({}, 1, 0),
        ({"region": "person"}, 1, 0),
        ({"region": "text"}, 0, 1),
        ({"model": "regions"}, 0, 1),
        ({"region": "text,logo"}, 0, 1),
        ({"region": "logo"}, 0, 0),
        ({"region": "text,person", "polarity": "background"}, 0, 0),
        ({"region": "text", "model": "toy"}, 0, 1),
    ],
)
async def test_a_region_is_painted_by_the_model_that_finds_it(
    start: Start, query: dict, left: float, right: float
) -> None:
    mask, _ = await ask_for_mask(start, COMPOSED, **query)
    assert (mask[:, :36].mean() / 255, mask[:, 124:].mean() / 255) == (left, right)


async def test_each_region_has_its_own_threshold_unless_the_query_sets_one(start: Start) -> None:
    """The thresholds are 0.25 for text and 0.5 for a person."""
    dim = paint((slice(0, 40), (0, 102, 0)), (slice(120, 160), (102, 0, 0)))
    for query, left, right in (({}, 0, 1), ({"threshold": "0.3"}, 1, 1), ({"threshold": "0.6"}, 0, 0)):
        mask, _ = await ask_for_mask(start, dim, region="person,text", **query)
        assert (mask[:, :36].mean() / 255, mask[:, 124:].mean() / 255) == (left, right), query
    soft, _ = await ask_for_mask(start, dim, region="person,text", soft="1")
    assert soft[:, :36].mean() == pytest.approx(102, abs=1)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"region": "txt"}, "no model finds 'txt'; did you mean 'text'?"),
        ({"region": "person,,text"}, "names of regions"),
        ({"model": "scores"}, "scores finds no regions"),
        ({"model": "tensor"}, "tensor doesn't take a picture"),
    ],
)
async def test_an_unknown_region_or_unsuitable_model_is_refused(start: Start, query: dict[str, str], says: str) -> None:
    server = await start(real=True, model="toy")
    answer = await server.post("/v1/mattes", params=query, data=pictures.encoded(".png", COMPOSED))
    assert (answer.status, says in (await answer.json())["error"]) == (422, True), await answer.text()
