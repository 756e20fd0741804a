"""How a graph is run: the values that a manifest may have, and those that are always rejected."""

import json

import msgspec
import pytest

from danmatte.contract.configuration import Configuration

PLAIN = Configuration("CPU", "latency", "f32", 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hint": "speed"}, "hint: expected latency or throughput, received 'speed'"),
        ({"precision": "int8"}, "precision: expected f32 or bf16 or f16, received 'int8'"),
        ({"streams": -1}, "streams: expected a number from 0 to 1024, received -1"),
        ({"infer_requests": 1.5}, r"infer_requests: .* received 1\.5"),
        ({"threads": True}, "threads: .* received True"),
        ({"batch": 0}, "batch: expected a number from 1 to 64, received 0"),
        ({"device": ""}, "device: expected one of OpenVINO's, such as CPU, received ''"),
    ],
)
def test_a_changed_configuration_is_validated(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        msgspec.structs.replace(PLAIN, **fields)


def test_several_devices_are_refused_only_in_a_manifest() -> None:
    elsewhere = msgspec.structs.replace(PLAIN, device="HETERO:GPU,CPU")
    with pytest.raises(msgspec.ValidationError, match=r"\$\.device"):
        msgspec.json.decode(msgspec.json.encode(elsewhere), type=Configuration)


@pytest.mark.parametrize("name", Configuration.__struct_fields__)
def test_every_field_of_a_configuration_is_required_in_a_manifest(name: str) -> None:
    table = msgspec.to_builtins(PLAIN)
    del table[name]
    with pytest.raises(msgspec.ValidationError, match=f"missing required field `{name}`"):
        msgspec.json.decode(json.dumps(table), type=Configuration)


def test_a_configuration_is_hashable_and_immutable() -> None:
    same = msgspec.json.decode(msgspec.json.encode(PLAIN), type=Configuration)
    assert {PLAIN: 1}[same] == 1
    with pytest.raises(AttributeError):
        PLAIN.batch = 2
