"""Random requests to V2 get a valid response in time."""

import asyncio
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from danmatte.api import json_arrays
from danmatte.api.v2.messages import LENGTH_HEADER, find_json_length, read_request
from danmatte.errors import RequestError, TensorError
from tests.service.conftest import Start
from tests.service.toy import Toy

TOY, UINT8 = Toy(), np.dtype(np.uint8)
SIDES = st.one_of(st.integers(-2, 4), st.sampled_from([TOY.height, TOY.width, 3, 10**9, 2**63]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5))
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner))
PARAMETERS = st.dictionaries(
    st.sampled_from(["binary_data_size", "binary_data", "timeout", "classification", "x"]),
    st.one_of(SCALARS, st.integers(0, 64)),
    max_size=3,
)
INPUT = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["frame", "x", ""]),
        "shape": st.one_of(st.lists(SIDES, max_size=6), st.just([1, TOY.height, TOY.width, 3]), st.just([1])),
        "datatype": st.sampled_from(["UINT8", "BYTES", "FP32", ""]),
    },
    optional={"parameters": PARAMETERS, "data": st.one_of(JSON, st.lists(st.integers(0, 255), max_size=8))},
)
REQUEST = st.fixed_dictionaries(
    {"inputs": st.lists(INPUT, max_size=3)},
    optional={
        "id": SCALARS,
        "parameters": PARAMETERS,
        "outputs": st.lists(st.fixed_dictionaries({"name": st.sampled_from(["person", "mask", "x"])}), max_size=3),
    },
)
BODY = st.one_of(
    REQUEST.map(lambda value: json.dumps(value).encode()), JSON.map(lambda value: json.dumps(value).encode())
)


@given(head=st.one_of(BODY, st.binary()), behind=st.binary(), length=st.one_of(st.none(), st.text(), st.integers()))
@example(head=b"", behind=b"", length=None)
@example(head=b'{"inputs":[]}', behind=b"", length=13)
@settings(max_examples=300, deadline=1000)
def test_reading_a_random_request_raises_only_request_errors(head: bytes, behind: bytes, length: object) -> None:
    body = head + behind
    with suppress(RequestError):
        read_request(body, find_json_length(None if length is None else str(length), body))
    with suppress(RequestError):
        read_request(body, len(head))


@given(head=BODY, behind=st.binary(), lying=st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_every_random_request_gets_a_response_in_time(
    start: Start, head: bytes, behind: bytes, lying: bool
) -> None:
    client = _STARTED.get(start) or _STARTED.setdefault(start, await start())
    headers = {LENGTH_HEADER: str(len(head) // 2 if lying else len(head))}
    async with asyncio.timeout(10):
        answer = await client.post("/v2/models/toy/infer", data=head + behind, headers=headers)
        content = await answer.read()
    assert answer.status in (200, 400, 404, 408, 413, 415, 422), content
    assert answer.status == 200 or json.loads(content)["error"]


_STARTED: dict[Any, Any] = {}


@given(values=st.lists(st.integers(0, 255), min_size=1, max_size=60), rows=st.integers(1, 6))
def test_json_arrays_survive_a_round_trip(values: list[int], rows: int) -> None:
    shape = (rows, len(values))
    array = np.array(values * rows, np.uint8).reshape(shape)
    for text in (json.dumps(array.tolist()).encode(), json_arrays.write_nested(array)):
        assert np.array_equal(json_arrays.parse_array("x", text, UINT8, shape), array)
        assert np.array_equal(json_arrays.parse_array("x", text, UINT8, (-1, len(values))), array)
    assert np.array_equal(json_arrays.parse_array("x", json_arrays.write_flat(array), UINT8, shape, flat=True), array)


@pytest.mark.parametrize("count", [2**14 - 1, 2**14, 2**14 + 1, 2**17])
def test_long_json_arrays_survive_a_round_trip_in_steps(count: int) -> None:
    array = np.arange(count).astype(np.uint8)
    assert np.array_equal(json_arrays.parse_array("x", json_arrays.write_flat(array), UINT8, (count,)), array)
    assert np.array_equal(
        json_arrays.parse_array("x", json_arrays.write_nested(array.reshape(-1, 1)), UINT8, (-1, 1)).reshape(-1), array
    )


@pytest.mark.parametrize(
    "text", [b"[[1,2,3],[4]]", b"[1,2,3,4]", b"[[1,2],[3,4],[]]", b"[[[1,2],[3,4]]]", b'[[1,2],["3",4]]']
)
def test_json_arrays_whose_nesting_contradicts_the_shape_are_refused(text: bytes) -> None:
    with pytest.raises(TensorError):
        json_arrays.parse_array("x", text, UINT8, (2, 2))
