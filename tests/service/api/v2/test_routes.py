"""V2 over HTTP: JSON and binary tensors, and all errors."""

import asyncio
import base64
import gzip
import json
import zlib

import numpy as np
import pytest
from aiohttp.test_utils import TestClient

from danmatte.app import ADMISSION
from tests.service import pictures
from tests.service.conftest import Start
from tests.service.toy import Toy

TOY = Toy()
SHAPE = [1, TOY.height, TOY.width, 3]
LENGTH = "Inference-Header-Content-Length"
INFER = "/v2/models/toy/infer"


def picture(light: int = 255) -> np.ndarray:
    """Return an input whose left half is bright."""
    pixels = np.zeros(SHAPE, np.uint8)
    pixels[:, :, : TOY.width // 2] = light
    return pixels


def tensor(**changes: object) -> dict[str, object]:
    """Return the JSON of one binary input."""
    size = {"binary_data_size": picture().nbytes}
    return {"name": "frame", "shape": SHAPE, "datatype": "UINT8", "parameters": size} | changes


def make_request(*inputs: dict[str, object], **rest: object) -> dict[str, object]:
    return {"inputs": list(inputs) or [tensor()]} | rest


async def post(client: TestClient, content: object, *behind: bytes, path: str = INFER, **headers: str):
    head = content if isinstance(content, bytes) else json.dumps(content).encode()
    length_header = {LENGTH: str(len(head))} if behind else {}
    return await client.post(path, data=head + b"".join(behind), headers=length_header | headers)


async def outputs(answer) -> dict[str, tuple[dict, bytes]]:
    """Return each output's JSON, and its bytes if it is binary."""
    assert answer.status == 200, await answer.text()
    body = await answer.read()
    length = int(answer.headers.get(LENGTH, len(body)))
    found, start = {}, length
    for output in json.loads(body[:length])["outputs"]:
        size = output.get("parameters", {}).get("binary_data_size", 0)
        found[output["name"]] = output, body[start : start + size]
        start += size
    assert start == len(body)
    return found


async def test_a_binary_tensor_gets_binary_outputs(start: Start, free_loop: None) -> None:
    client = await start(real=True)
    content = make_request(id="a7", parameters={"binary_data_output": True})
    answer = await post(client, content, picture().tobytes())
    (described, data) = (await outputs(answer))["person"]
    assert (described["datatype"], described["shape"]) == ("FP32", [1, TOY.rows, TOY.columns, 1])
    values = np.frombuffer(data, "<f4").reshape(TOY.rows, TOY.columns)
    assert values[0, 0] == pytest.approx(1)
    assert values[0, -1] == 0
    head = json.loads((await answer.read())[: int(answer.headers[LENGTH])])
    assert (head["id"], head["model_name"], head["model_version"]) == ("a7", "toy", "2")


@pytest.fixture(params=["flat", "nested"])
def in_json(request: pytest.FixtureRequest) -> bytes:
    """Return a request with numbers as JSON."""
    pixels = picture().reshape(-1) if request.param == "flat" else picture()
    return json.dumps(make_request(tensor(parameters={}, data=pixels.tolist()))).encode()


async def test_json_tensors_get_json_outputs(start: Start, in_json: bytes, free_loop: None) -> None:
    answer = await post(await start(), in_json)
    assert answer.content_type == "application/json"
    (described, data) = (await outputs(answer))["person"]
    assert data == b""
    assert len(described["data"]) == TOY.rows * TOY.columns
    assert described["data"][0] == pytest.approx(1)
    assert "id" not in await answer.json()


async def test_each_output_has_the_encoding_that_was_requested(start: Start) -> None:
    wanted = [{"name": "mask", "parameters": {"binary_data": True}}, {"name": "person"}]
    found = await outputs(await post(await start(), make_request(outputs=wanted), picture().tobytes()))
    assert list(found) == ["mask", "person"]
    mask, data = found["mask"]
    assert (mask["datatype"], mask["shape"]) == ("BYTES", [1])
    assert int.from_bytes(data[:4], "little") == len(data) - 4
    assert pictures.decoded(data[4:]).shape == (TOY.height, TOY.width)
    assert len(found["person"][0]["data"]) == TOY.rows * TOY.columns


async def test_an_output_may_override_the_requests_binary_default(start: Start) -> None:
    wanted = [{"name": "person", "parameters": {"binary_data": False}}]
    content = make_request(outputs=wanted, parameters={"binary_data_output": True})
    answer = await post(await start(), content, picture().tobytes())
    assert LENGTH not in answer.headers
    assert (await answer.json())["outputs"][0]["data"]


async def test_outputs_of_a_batch_keep_the_order_of_inputs(start: Start) -> None:
    batch = np.concatenate([picture(light) for light in (255, 0, 51)])
    content = make_request(tensor(shape=list(batch.shape), parameters={"binary_data_size": batch.nbytes}))
    (described, _) = (await outputs(await post(await start(real=True), content, batch.tobytes())))["person"]
    assert described["shape"] == [3, TOY.rows, TOY.columns, 1]
    values = np.array(described["data"]).reshape(described["shape"])
    assert values[:, 0, 0, 0] == pytest.approx([1, 0, 0.2], abs=1e-6)


async def test_encoded_pictures_are_accepted_as_bytes_tensors(start: Start, jpeg: bytes, free_loop: None) -> None:
    png = pictures.encoded(".png", pictures.rectangle(90, 160))
    behind = b"".join(len(part).to_bytes(4, "little") + part for part in (jpeg, png))
    content = make_request(
        tensor(shape=[2], datatype="BYTES", parameters={"binary_data_size": len(behind)}),
        outputs=[{"name": "person"}, {"name": "mask"}],
    )
    found = await outputs(await post(await start(real=True), content, behind))
    assert found["person"][0]["shape"] == [2, TOY.rows, TOY.columns, 1]
    masks = [pictures.decoded(base64.b64decode(text)) for text in found["mask"][0]["data"]]
    assert [mask.shape for mask in masks] == [(360, 640), (90, 160)]
    assert masks[0][135, 360] == 255


async def test_json_carries_pictures_in_base64(start: Start, jpeg: bytes) -> None:
    text = base64.b64encode(jpeg).decode()
    content = make_request({"name": "frame", "shape": [1, 1], "datatype": "BYTES", "data": [text]})
    client = await start()
    assert "person" in await outputs(await post(client, content))
    content["inputs"][0] |= {"data": [[text]], "parameters": None}  # nested as its shape
    assert "person" in await outputs(await post(client, content | {"id": None, "parameters": None, "outputs": None}))


async def test_version_0_is_unknown(start: Start) -> None:
    answer = await post(await start(), make_request(), ONE, path="/v2/models/toy/versions/0/infer")
    assert (answer.status, (await answer.json())["code"]) == (404, "unknown_version")


@pytest.mark.parametrize("kind", ["tensor", "two tensors", "picture"])
async def test_a_body_without_json_is_taken_as_the_input(start: Start, jpeg: bytes, kind: str) -> None:
    data = {"tensor": picture().tobytes(), "two tensors": picture().tobytes() * 2, "picture": jpeg}[kind]
    answer = await (await start()).post(INFER, data=data, headers={LENGTH: "0"})
    (described, values) = (await outputs(answer))["person"]
    assert described["shape"][0] == (2 if kind == "two tensors" else 1)
    assert len(values) == described["shape"][0] * TOY.rows * TOY.columns * 4


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_bodies_may_be_compressed(start: Start, coding: str, pack) -> None:
    head = json.dumps(make_request()).encode()
    headers = {"Content-Encoding": coding, LENGTH: str(len(head))}
    answer = await (await start()).post(INFER, data=pack(head + picture().tobytes()), headers=headers)
    assert "person" in await outputs(answer)


async def test_a_decompressed_body_is_limited_by_max_body_bytes(start: Start) -> None:
    client = await start(max_body_bytes=100_000)
    answer = await client.post(INFER, data=gzip.compress(bytes(2**24)), headers={"Content-Encoding": "gzip"})
    assert (answer.status, (await answer.json())["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream", "text/plain", "image/gif"])
async def test_the_content_type_is_ignored(start: Start, kind: str) -> None:
    answer = await post(await start(), make_request(), picture().tobytes(), **{"Content-Type": kind})
    assert answer.status == 200


async def test_model_names_may_be_percent_encoded_and_versions_selected(start: Start) -> None:
    answer = await post(await start(), make_request(), picture().tobytes(), path="/v2/models/%74oy/versions/1/infer")
    assert (await answer.json())["model_version"] == "1"


async def test_a_timeout_is_a_deadline_in_microseconds(start: Start) -> None:
    client = await start(delay_s=60)
    answer = await post(client, make_request(parameters={"timeout": 50_000}), picture().tobytes())
    assert (answer.status, (await answer.json())["code"]) == (503, "deadline_exceeded")
    assert "0.05 s" in (await answer.json())["error"]


async def test_a_cancelled_request_frees_its_place(start: Start) -> None:
    client = await start(delay_s=60, deadline_s=60)
    leaving = asyncio.create_task(post(client, make_request(), picture().tobytes()))
    await until(lambda: client.app[ADMISSION].occupied == 1)
    leaving.cancel()
    await until(lambda: client.app[ADMISSION].occupied == 0)


async def until(condition) -> None:
    """Wait for a condition, at most a few seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


async def test_metadata_routes_describe_the_server_and_its_models(start: Start) -> None:
    client = await start()
    server = await (await client.get("/v2")).json()
    assert server["name"] == "danmatte"
    assert "binary_tensor_data" in server["extensions"]
    model = await (await client.get("/v2/models/toy")).json()
    assert model == {
        "name": "toy",
        "versions": ["2", "1"],
        "platform": "openvino",
        "inputs": [{"name": "frame", "datatype": "UINT8", "shape": [-1, *SHAPE[1:]]}],
        "outputs": [{"name": "person", "datatype": "FP32", "shape": [-1, TOY.rows, TOY.columns, 1]}],
    }
    assert await (await client.get("/v2/models/toy/versions/1/ready")).json() == {"name": "toy", "ready": True}
    config = await (await client.get("/v2/models/toy/config")).json()
    assert config["input"] == [{"name": "frame", "data_type": "TYPE_UINT8", "format": "FORMAT_NHWC", "dims": SHAPE[1:]}]


async def test_a_draining_server_is_not_ready(start: Start) -> None:
    client = await start()
    client.app[ADMISSION].draining = True
    answer = await client.get("/v2/models/toy/ready")
    assert (answer.status, await answer.json()) == (503, {"name": "toy", "ready": False})


async def test_inferences_and_failures_are_counted_in_model_statistics(start: Start, jpeg: bytes) -> None:
    client = await start()
    batch = np.concatenate([picture()] * 2)
    content = make_request(tensor(shape=list(batch.shape), parameters={"binary_data_size": batch.nbytes}))
    await post(client, content, batch.tobytes())
    await post(client, make_request(tensor(name="x")), picture().tobytes())
    (counted,) = (await (await client.get("/v2/models/toy/stats")).json())["model_stats"]
    assert (counted["name"], counted["version"]) == ("toy", "2")
    assert (counted["inference_count"], counted["last_inference"] > 0) == (2, True)
    assert counted["inference_stats"]["success"]["count"] == 1
    assert counted["inference_stats"]["fail"]["count"] == 1
    assert counted["inference_stats"]["compute_infer"]["ns"] > 0
    # Triton counts batch sizes of executions, and this graph takes one picture at a time.
    assert [entry["batch_size"] for entry in counted["batch_stats"]] == [1]
    assert counted["execution_count"] == counted["batch_stats"][0]["compute_infer"]["count"] == 2
    everything = await (await client.get("/v2/models/stats")).json()
    assert everything["model_stats"] == [counted]


ONE = picture().tobytes()
LIST = picture().reshape(-1).tolist()
BAD = {
    "no JSON": (b"{", [], "expected JSON"),
    "not an object": (b"[]", [], "expected JSON"),
    "nothing at all": (b"", [], "received nothing"),
    "no inputs": ({"inputs": []}, [], "expected one, 'frame'"),
    "two inputs": (make_request(tensor(), tensor()), [ONE, ONE], "expected one, 'frame'"),
    "another name": (make_request(tensor(name="fram")), [ONE], "did you mean 'frame'"),
    "another datatype": (make_request(tensor(datatype="INT8")), [ONE], "expected UINT8 or BYTES"),
    "another datatype in JSON": (make_request(tensor(datatype="FP32", parameters={}, data=LIST)), [], "expected UINT8"),
    "another shape": (make_request(tensor(shape=[1, 3, TOY.height, TOY.width])), [ONE], "shape: expected [-1, 96"),
    "no shape": (make_request(tensor(shape=[])), [ONE], "for shape []"),
    "a negative side": (make_request(tensor(shape=[-1, *SHAPE[1:]])), [ONE], "positive sides"),
    "a huge side": (make_request(tensor(shape=[10**18, 10**18])), [ONE], "expected 1000000"),
    "a huge side in JSON": (
        make_request(tensor(shape=[10**12], parameters={}, data=[1])),
        [],
        "expected 1000000000000",
    ),
    "too little": (make_request(), [ONE[:-1]], f"received {len(ONE) - 1}"),
    "too much": (make_request(), [ONE + b"\0"], "body: expected"),
    "another size": (make_request(tensor(parameters={"binary_data_size": 5})), [ONE[:5]], "for shape"),
    "a negative size": (make_request(tensor(parameters={"binary_data_size": -5})), [ONE], "binary_data_size"),
    "a size in words": (make_request(tensor(parameters={"binary_data_size": "5"})), [ONE], "binary_data_size"),
    "both data and a size": (make_request(tensor(data=[1])), [ONE], "received both"),
    "neither": (make_request(tensor(parameters={})), [], "expected data, or"),
    "numbers over 255": (make_request(tensor(parameters={}, data=[256, *LIST[1:]])), [], "0 to 255"),
    "numbers below 0": (make_request(tensor(parameters={}, data=[-1, *LIST[1:]])), [], "0 to 255"),
    "fractions": (make_request(tensor(parameters={}, data=[0.5, *LIST[1:]])), [], "0 to 255"),
    "words": (make_request(tensor(parameters={}, data=["1", *LIST[1:]])), [], "0 to 255"),
    "ragged lists": (make_request(tensor(shape=[2, 2], parameters={}, data=[[1, 2, 3], [4]])), [], "nested as"),
    "data of another count": (make_request(tensor(parameters={}, data=LIST[1:])), [], "received 46079"),
    "data in an object": (make_request(tensor(parameters={}, data={"a": 1})), [], "0 to 255"),
    "an unknown output": (make_request(outputs=[{"name": "persons"}]), [ONE], "did you mean 'person'"),
    "an output twice": (make_request(outputs=[{"name": "person"}] * 2), [ONE], "once"),
    "a timeout in words": (make_request(parameters={"timeout": "1"}), [ONE], "microseconds"),
    "a flag in words": (
        make_request(outputs=[{"name": "person", "parameters": {"binary_data": "no"}}]),
        [ONE],
        "or false",
    ),
    "shared memory": (make_request(tensor(parameters={"shared_memory_region": "x"})), [], "shared memory"),
    "classification": (
        make_request(outputs=[{"name": "person", "parameters": {"classification": 2}}]),
        [ONE],
        "classif",
    ),
    "too many pictures": (
        make_request(tensor(shape=[33], datatype="BYTES", parameters={"binary_data_size": 4 * 33})),
        [bytes(4 * 33)],
        "expected 1 to 32 pictures",
    ),
    "elements cut short": (
        make_request(tensor(shape=[1], datatype="BYTES", parameters={"binary_data_size": 6})),
        [b"\x09\0\0\0ab"],
        "element 0: expected 9 bytes",
    ),
    "fewer elements": (
        make_request(tensor(shape=[2], datatype="BYTES", parameters={"binary_data_size": 6})),
        [b"\x02\0\0\0ab"],
        "expected exactly 2 elements",
    ),
    "no base64": (make_request({"name": "frame", "shape": [1], "datatype": "BYTES", "data": ["%"]}), [], "base64"),
    "nested for ever": (b'{"x":' + b"[" * 100_000, [], "nested too deep"),
    "data nested for ever": (
        b'{"inputs":[{"name":"frame","shape":[1],"datatype":"UINT8","data":' + b"[" * 50 + b"1" + b"]" * 50 + b"}]}",
        [],
        "nested as (1,)",
    ),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_request_is_refused_and_the_next_one_served(start: Start, kind: str) -> None:
    content, behind, says = BAD[kind]
    client = await start()
    answer = await post(client, content, *behind)
    refusal = await answer.json()
    assert answer.status == 400, refusal
    assert says in refusal["error"]
    assert (await post(client, make_request(), ONE)).status == 200


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999", "9" * 30, "٣"])
async def test_an_invalid_json_length_header_is_refused(start: Start, length: str) -> None:
    client = await start()
    answer = await client.post(INFER, data=json.dumps(make_request()).encode() + ONE, headers={LENGTH: length})
    assert (answer.status, LENGTH in (await answer.json())["error"]) == (400, True)


async def test_a_corrupt_picture_is_refused(start: Start, jpeg: bytes) -> None:
    answer = await (await start()).post(INFER, data=jpeg[: len(jpeg) // 2], headers={LENGTH: "0"})
    assert (answer.status, (await answer.json())["code"]) == (422, "corrupt_picture")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/toi", 404),
        ("GET", "/v2/models/toi/ready", 404),
        ("GET", "/v2/models/toi/stats", 404),
        ("GET", "/v2/models/toy/versions/9", 404),
        ("GET", "/v2/models/toy/versions/x/config", 404),
        ("GET", "/v2/models/%2e%2e%2fetc", 404),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("DELETE", "/v2/models/toy", 405),
    ],
)
async def test_every_error_response_has_a_message(start: Start, method: str, path: str, status: int) -> None:
    answer = await (await start()).request(method, path)
    assert answer.status == status
    assert (await answer.json())["error"]


async def test_a_body_over_the_limit_is_refused_with_a_json_error(start: Start) -> None:
    answer = await post(await start(max_body_bytes=1000), make_request(), ONE)
    assert (answer.status, "at most 1000" in (await answer.json())["error"]) == (413, True)


@pytest.fixture
def megabytes() -> bytes:
    """Return a batch as JSON."""
    return json.dumps(make_request(tensor(shape=[32, *SHAPE[1:]], parameters={}, data=LIST * 32))).encode()


async def test_large_json_bodies_do_not_block_the_event_loop(start: Start, megabytes: bytes, free_loop: None) -> None:
    assert (await post(await start(), megabytes)).status == 200
