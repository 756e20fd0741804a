"""Device strings: those that can be used, and the errors for others."""

import pytest

from danmatte.contract.configuration import Configuration
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import MachineError
from danmatte_workbench.runtimes.devices import Device, check_device, is_cpu, list_devices, to_properties

HERE = ("CPU", "GPU.0", "GPU.1")


@pytest.mark.parametrize(
    "text",
    ["CPU", "GPU", "GPU.0", "GPU.1", "AUTO", "AUTO:GPU,CPU", "AUTO:-GPU,CPU", "HETERO:GPU,CPU", "MULTI:CPU(4),GPU.1"],
)
def test_available_devices_are_accepted(text: str) -> None:
    check_device(text, available=HERE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("GPU", r"^device GPU isn't on this machine; available: CPU, or AUTO to choose automatically$"),
        ("HETERO:GPU,CPU", r"^device HETERO:GPU,CPU: device GPU isn't on this machine; available: CPU"),
        ("NPU", r"NPU isn't on this machine; available: CPU"),
        ("CPU.1", r"CPU\.1 isn't on this machine"),
        ("CPU.0", r"CPU\.0 isn't on this machine"),
        ("cpu", r"unknown device 'cpu'; did you mean 'CPU'\?; available: CPU"),
        ("GUP", r"did you mean 'GPU'\?"),
        ("ATUO", r"did you mean 'AUTO'\?"),
        ("", r"unknown device ''"),
        ("HETRO:CPU", r"expected AUTO, BATCH, HETERO, MULTI before the colon; did you mean 'HETERO'\?"),
        ("HETERO", r"expected devices, such as HETERO:CPU"),
        ("MULTI:", r"expected devices, such as MULTI:CPU"),
        ("MULTI:CPU,,CPU", r"expected devices between commas, received ''"),
        ("MULTI:-CPU", r"only AUTO can exclude devices, received -CPU"),
        ("AUTO:-CPU", r"excludes all devices"),
        ("AUTO:-GUP", r"no device GUP; did you mean 'GPU'\?"),
    ],
)
def test_unavailable_devices_are_refused_with_the_available_ones(text: str, says: str) -> None:
    with pytest.raises(MachineError, match=says):
        check_device(text, available=("CPU",))


def test_excluding_a_family_excludes_all_of_its_devices() -> None:
    check_device("AUTO:-CPU", available=HERE)
    with pytest.raises(MachineError, match="excludes all devices"):
        check_device("AUTO:-GPU", available=("GPU.0", "GPU.1"))


def test_a_machine_without_devices_is_reported() -> None:
    with pytest.raises(MachineError, match="none is available"):
        check_device("CPU", available=())


def test_the_cpu_of_this_machine_is_found_and_described() -> None:
    found = {device.name: device for device in list_devices()}
    assert "FP32" in found["CPU"].capabilities
    assert found["CPU"].full_name
    check_device("CPU")
    check_device("AUTO:CPU")


def test_threads_and_pinning_are_set_only_for_the_cpu() -> None:
    properties = to_properties(configure(streams=2, threads=3), pinning=False)
    assert (properties["NUM_STREAMS"], properties["INFERENCE_NUM_THREADS"], properties["ENABLE_CPU_PINNING"]) == (
        2,
        3,
        False,
    )
    other = to_properties(configure(device="HETERO:GPU,CPU", streams=2, threads=3), pinning=True)
    assert other == {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 2}


def test_default_options_are_not_set_as_properties() -> None:
    assert to_properties(configure()) == {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@pytest.mark.parametrize(
    ("text", "only"),
    [("CPU", True), ("MULTI:CPU(2)", True), ("AUTO:-GPU,CPU", True), ("GPU.0", False), ("HETERO:GPU,CPU", False)],
)
def test_a_device_string_that_can_only_mean_the_cpu_is_recognised(text: str, only: bool) -> None:
    assert is_cpu(text) is only


@pytest.mark.parametrize(
    ("configuration", "name", "value"),
    [
        (configure(hint="throughput"), "PERFORMANCE_HINT", "THROUGHPUT"),
        (configure(precision="bf16"), "INFERENCE_PRECISION_HINT", "bf16"),
        (configure(streams=3), "NUM_STREAMS", 3),
        (configure(threads=5), "INFERENCE_NUM_THREADS", 5),
    ],
)
def test_every_option_becomes_an_openvino_property(configuration: Configuration, name: str, value: object) -> None:
    assert to_properties(configuration)[name] == value


@pytest.mark.parametrize("pinning", [True, False])
def test_pinning_is_set_only_for_the_cpu(pinning: bool) -> None:
    assert to_properties(configure(), pinning=pinning)["ENABLE_CPU_PINNING"] is pinning
    assert "ENABLE_CPU_PINNING" not in to_properties(configure(device="GPU"), pinning=pinning)


def test_a_device_is_shown_with_its_full_name() -> None:
    assert str(Device("GPU.1", "A card", ("FP32",), 4)) == "GPU.1 (A card)"
