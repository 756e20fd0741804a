"""TensorFlow Serving's REST API: rows, columns, encoded pictures, states and errors."""

import asyncio
import base64

import numpy as np
import pytest

from danmatte.app import ADMISSION
from tests.service import pictures
from tests.service.conftest import Start
from tests.service.toy import Toy

TOY = Toy()
PREDICT = "/v1/models/toy:predict"
PIXELS = np.full((TOY.height, TOY.width, 3), 51, np.uint8).tolist()


def b64(data: bytes) -> dict[str, str]:
    """Return an encoded picture."""
    return {"b64": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    "instances", [[PIXELS, PIXELS], [{"frame": PIXELS}, {"frame": PIXELS}]], ids=["unnamed", "named"]
)
async def test_instances_in_row_format_give_predictions(start: Start, instances: list[object], free_loop: None) -> None:
    answer = await (await start(real=True)).post(PREDICT, json={"instances": instances})
    assert answer.status == 200, await answer.text()
    assert list(await answer.json()) == ["predictions"]
    values = np.array((await answer.json())["predictions"])
    assert values.shape == (2, TOY.rows, TOY.columns, 1)
    assert values == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize("inputs", [[PIXELS], {"frame": [PIXELS]}], ids=["unnamed", "named"])
async def test_inputs_in_column_format_give_outputs(start: Start, inputs: object) -> None:
    answer = await (await start()).post(PREDICT, json={"signature_name": "serving_default", "inputs": inputs})
    assert list(await answer.json()) == ["outputs"]
    assert np.array((await answer.json())["outputs"]).shape == (1, TOY.rows, TOY.columns, 1)


@pytest.mark.parametrize("kind", ["rows", "named rows", "column", "named column", "one"])
async def test_encoded_pictures_are_accepted_in_every_request_format(start: Start, jpeg: bytes, kind: str) -> None:
    sent = {
        "rows": {"instances": [b64(jpeg)]},
        "named rows": {"instances": [{"frame": b64(jpeg)}]},
        "column": {"inputs": [b64(jpeg)]},
        "named column": {"inputs": {"frame": [b64(jpeg)]}},
        "one": {"inputs": b64(jpeg)},
    }[kind]
    answer = await (await start()).post(PREDICT, json=sent)
    assert answer.status == 200, await answer.text()
    (values,) = (await answer.json()).values()
    assert np.array(values).shape == (1, TOY.rows, TOY.columns, 1)


async def test_the_mask_signature_returns_encoded_masks(start: Start, jpeg: bytes) -> None:
    sent = {"signature_name": "mask", "instances": [b64(jpeg)]}
    answer = await (await start(real=True)).post(PREDICT, json=sent)
    (mask,) = (await answer.json())["predictions"]
    assert pictures.decoded(base64.b64decode(mask["b64"])).shape == (360, 640)


async def test_whole_floats_are_accepted_as_pixels(start: Start) -> None:
    answer = await (await start()).post(
        PREDICT, data=str({"instances": [PIXELS]}).replace("'", '"').replace("51", "51.0")
    )
    assert answer.status == 200, await answer.text()


async def test_a_version_in_the_path_is_served_and_reported(start: Start) -> None:
    client = await start()
    assert (await client.post("/v1/models/toy/versions/1:predict", json={"instances": [PIXELS]})).status == 200
    answer = await client.get("/v1/models/toy/versions/1")
    assert await answer.json() == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


async def test_model_status_lists_the_state_of_every_version(start: Start) -> None:
    listed = (await (await (await start()).get("/v1/models/toy")).json())["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in listed] == [("2", "AVAILABLE"), ("1", "AVAILABLE")]


async def test_metadata_describes_the_signatures(start: Start) -> None:
    described = await (await (await start()).get("/v1/models/toy/metadata")).json()
    assert described["model_spec"] == {"name": "toy", "signature_name": "", "version": "2"}
    signature = described["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["frame"]["dtype"] == "DT_UINT8"
    sides = [side["size"] for side in signature["inputs"]["frame"]["tensor_shape"]["dim"]]
    assert sides == ["-1", str(TOY.height), str(TOY.width), "3"]


BAD = {
    "no JSON": (b"{", "expected JSON"),
    "neither": (b"{}", "received neither"),
    "both": ({"instances": [PIXELS], "inputs": [PIXELS]}, "received both"),
    "another signature": ({"signature_name": "x", "instances": [PIXELS]}, "unknown 'x'"),
    "no list": ({"instances": 5}, "expected a list"),
    "nothing": ({"instances": []}, "1 to 32 items"),
    "no pictures": ({"instances": [1, 2]}, "nested 4 deep, received 1"),
    "another name": ({"instances": [{"x": PIXELS}]}, "expected 'frame'"),
    "pixels missing": ({"instances": [PIXELS[1:]]}, "expected 46080 numbers"),
    "no rows": ({"instances": PIXELS}, "nested 4 deep, received 3"),
    "words": ({"inputs": [["a"]]}, "0 to 255"),
    "no base64": ({"instances": [{"b64": "%"}]}, "expected numbers, or"),
    "nested for ever": (b'{"x":' + b"[" * 100_000, "nested too deep"),
    "an object": ({"inputs": {}}, "expected 'frame'"),
    "null": ({"inputs": None}, ""),
}


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_request_is_refused_and_the_next_one_served(start: Start, kind: str) -> None:
    sent, says = BAD[kind]
    client = await start()
    answer = await (client.post(PREDICT, data=sent) if isinstance(sent, bytes) else client.post(PREDICT, json=sent))
    refusal = await answer.json()
    assert (answer.status, says in refusal["error"]) == (400, True), refusal
    assert (await client.post(PREDICT, json={"instances": [PIXELS]})).status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/toi", 404),
        ("/v1/models/toi/metadata", 404),
        ("/v1/models/toy/versions/9", 404),
        ("/v1/models/toy/versions/x", 404),
        ("/v1/models/toy/labels/x", 404),
    ],
)
async def test_unknown_models_versions_and_labels_get_404(start: Start, path: str, status: int) -> None:
    answer = await (await start()).get(path)
    assert (answer.status, bool((await answer.json())["error"])) == (status, True)


async def test_a_request_over_the_deadline_gets_504_with_a_json_error_and_is_counted(start: Start) -> None:
    client = await start(delay_s=60, deadline_s=0.1)
    answer = await client.post(PREDICT, json={"instances": [PIXELS]})
    refusal = await answer.json()
    assert (answer.status, "0.1 s" in refusal["error"], answer.headers["Retry-After"]) == (504, True, "1")
    assert (refusal["code"], refusal["status"]) == ("deadline_exceeded", 504)
    assert refusal["request_id"] == answer.headers["X-Request-Id"]
    page = await (await client.get("/metrics")).text()
    assert 'danmatte_rejected_total{code="deadline_exceeded"} 1.0' in page


async def test_requests_over_the_queue_limit_get_429(start: Start) -> None:
    client = await start(queue=1, delay_s=0.3)
    answers = await asyncio.gather(*(client.post(PREDICT, json={"instances": [PIXELS]}) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 429]


async def test_a_draining_server_responds_with_503(start: Start) -> None:
    client = await start()
    client.app[ADMISSION].draining = True
    assert (await client.post(PREDICT, json={"instances": [PIXELS]})).status == 503


async def test_version_0_selects_the_default_version_as_ovmsclient_expects(start: Start, jpeg: bytes) -> None:
    client = await start()
    body = {"instances": [{"b64": base64.b64encode(jpeg).decode()}]}
    zero = await client.post("/v1/models/toy/versions/0:predict", json=body)
    assert zero.status == 200
    assert await zero.json() == await (await client.post("/v1/models/toy:predict", json=body)).json()
    assert (await client.get("/v1/models/toy/versions/0/metadata")).status == 200
