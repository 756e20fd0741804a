"""OpenVINO's devices: those available, the device strings that can be used, and the properties each accepts."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from danmatte.contract.configuration import Configuration
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import MachineError
from danmatte_workbench.runtimes.core import open_core

REAL = ("CPU", "GPU", "NPU")
VIRTUAL = ("AUTO", "BATCH", "HETERO", "MULTI")
_ENTRY = re.compile(r"(?P<without>-?)(?P<name>[^-.():,\s]+)(?P<number>(\.\d+)*)(\(\d+\))?")


@dataclass(frozen=True)
class Device:
    """An available device. ``capabilities`` are in the plugin's own terms, such as FP32, BF16, INT8."""

    name: str
    full_name: str
    capabilities: tuple[str, ...]
    streams: int

    def __str__(self) -> str:
        return f"{self.name} ({self.full_name})"


def list_devices() -> tuple[Device, ...]:
    """Return the devices that OpenVINO finds; virtual devices (AUTO, HETERO, MULTI, BATCH) use these."""
    core = open_core()

    def read_property(name: str, key: str, otherwise: Any) -> Any:
        try:
            return core.get_property(name, key)
        except RuntimeError:  # not every plugin supports every property
            return otherwise

    return tuple(
        Device(
            name=name,
            full_name=str(read_property(name, "FULL_DEVICE_NAME", "")),
            capabilities=tuple(sorted(read_property(name, "OPTIMIZATION_CAPABILITIES", ()))),
            streams=int(read_property(name, "RANGE_FOR_STREAMS", (1, 1))[1]),
        )
        for name in core.available_devices
    )


def check_device(text: str, *, available: Iterable[str] | None = None) -> None:
    """Raise MachineError, with the available devices, unless the device string ``text`` can be used on this machine.

    text: a device (CPU, GPU.1), AUTO, or one of AUTO, BATCH, HETERO, MULTI with the devices to use (HETERO:GPU,CPU).
    available: OpenVINO's list of devices; None to query it.
    """
    present = tuple(open_core().available_devices if available is None else available)
    virtual, colon, entries = text.partition(":")
    if not colon and text not in VIRTUAL:
        _check_real(text, text, present)
        return
    if virtual not in VIRTUAL:
        raise MachineError(f"device {text}: expected {', '.join(VIRTUAL)} before the colon{_suggest(virtual, VIRTUAL)}")
    if not entries and virtual != "AUTO":
        raise MachineError(f"device {text}: expected devices, such as {virtual}:CPU{_list_present(present)}")
    for entry in entries.split(",") if entries else ():
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise MachineError(
                f"device {text}: expected devices between commas, received {entry!r}{_list_present(present)}"
            )
        if not match["without"]:
            _check_real(match["name"] + match["number"], text, present)
        elif virtual != "AUTO":
            raise MachineError(f"device {text}: only AUTO can exclude devices, received {entry}")
        elif match["name"] not in REAL:
            raise MachineError(f"device {text}: there is no device {match['name']}{_suggest(match['name'], REAL)}")
    left_out = {entry[1:] for entry in entries.split(",") if entry.startswith("-")}
    if all(left_out & {name, name.partition(".")[0]} for name in present):
        raise MachineError(f"device {text}: excludes all devices{_list_present(present)}")


def _check_real(name: str, text: str, present: tuple[str, ...]) -> None:
    """Check a device that isn't virtual.

    A family without a number is its first device. ``GPU.0`` is the same as ``GPU`` if there is only one.
    """
    if name in present or f"{name}.0" in present or (name.endswith(".0") and name != "CPU.0" and name[:-2] in present):
        return
    where = "" if name == text else f"device {text}: "
    if name.partition(".")[0] in REAL:
        raise MachineError(f"{where}device {name} isn't on this machine{_list_present(present)}")
    near = _suggest(name, (*present, *REAL, *VIRTUAL))
    raise MachineError(f"{where}unknown device {name!r}{near}{_list_present(present)}")


def _list_present(present: tuple[str, ...]) -> str:
    return f"; available: {', '.join(present)}, or AUTO to choose automatically" if present else "; none is available"


def _suggest(word: str, known: Iterable[str]) -> str:
    return did_you_mean(word.upper(), known, cutoff=0.4, listed=False)


def to_properties(configuration: Configuration, *, pinning: bool | None = None) -> dict[str, Any]:
    """Return the configuration as OpenVINO's properties.

    Threads and pinning are set for the CPU only, because other devices reject them. pinning: None leaves it to the
    plugin.
    """
    # The precision is always set, because the CPU plugin would silently use bf16 if available.
    found: dict[str, Any] = {
        "PERFORMANCE_HINT": configuration.hint.upper(),
        "INFERENCE_PRECISION_HINT": configuration.precision,
    }
    if configuration.streams:
        found["NUM_STREAMS"] = configuration.streams
    if is_cpu(configuration.device):
        if configuration.threads:
            found["INFERENCE_NUM_THREADS"] = configuration.threads
        if pinning is not None:
            found["ENABLE_CPU_PINNING"] = pinning
    return found


def is_cpu(text: str) -> bool:
    """Return whether only the CPU can run graphs on the device ``text``."""
    # AUTO without a list may choose any available device.
    _, colon, entries = text.partition(":")
    wanted = entries.split(",") if colon else [text]
    if text in ("AUTO", "AUTO:") or all(entry.startswith("-") for entry in wanted):
        wanted = list(open_core().available_devices)
    return all(re.split(r"[.(]", entry)[0] == "CPU" for entry in wanted if not entry.startswith("-"))
