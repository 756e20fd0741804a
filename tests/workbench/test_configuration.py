"""Configurations: the values that the contract allows."""

import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"hint": "speed"}, r"hint: expected latency or throughput, received 'speed'"),
        ({"precision": "int8"}, r"precision: expected f32 or bf16 or f16, received 'int8'"),
        ({"streams": -1}, r"streams: expected a number from 0 to 1024, received -1"),
        ({"threads": 1025}, r"threads: .* received 1025"),
        ({"infer_requests": 1.5}, r"infer_requests: .* received 1\.5"),
        ({"threads": True}, r"threads: .* received True"),
        ({"batch": 0}, r"batch: expected a number from 1 to 64, received 0"),
        ({"batch": 65}, r"batch: .* received 65"),
        ({"device": ""}, r"device: expected one of OpenVINO's, such as CPU, received ''"),
    ],
)
def test_values_that_the_contract_forbids_are_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        configure(**fields)


@pytest.mark.parametrize(
    "fields", [{}, {"streams": 1024, "batch": 64}, {"device": "HETERO:GPU,CPU"}, {"hint": "throughput"}]
)
def test_values_at_the_limits_are_accepted(fields: dict[str, object]) -> None:
    configure(**fields)


def test_a_device_other_than_the_default_is_shown() -> None:
    assert str(configure()) == "latency f32"
    assert str(configure(hint="throughput", precision="bf16", device="AUTO")) == "throughput bf16 on AUTO"
