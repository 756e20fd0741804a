"""OpenVINO's devices: which there are, which device strings can be used here, and the properties each accepts."""

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
    """A device that is there. ``capabilities`` are the plugin's own words, such as FP32, BF16, INT8."""

    name: str
    full_name: str
    capabilities: tuple[str, ...]
    streams: int

    def __str__(self) -> str:
        return f"{self.name} ({self.full_name})"


def list_devices() -> tuple[Device, ...]:
    """The devices that OpenVINO finds; virtual ones (AUTO, HETERO, MULTI, BATCH) are made of these."""
    core = open_core()

    def read_property(name: str, key: str, otherwise: Any) -> Any:
        try:
            return core.get_property(name, key)
        except RuntimeError:  # not every plugin answers every question
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


def check_device(text: str, *, there: Iterable[str] | None = None) -> None:
    """Raises MachineError, which names the devices that are there, unless ``text`` can be used on this machine.

    text: a device (CPU, GPU.1), AUTO, or one of AUTO, BATCH, HETERO, MULTI with those it may use (HETERO:GPU,CPU).
    there: OpenVINO's list of devices; asked for where it isn't given.
    """
    present = tuple(open_core().available_devices if there is None else there)
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
            raise MachineError(f"device {text}: only AUTO can leave devices out, received {entry}")
        elif match["name"] not in REAL:
            raise MachineError(f"device {text}: there is no device {match['name']}{_suggest(match['name'], REAL)}")
    left_out = {entry[1:] for entry in entries.split(",") if entry.startswith("-")}
    if all(left_out & {name, name.partition(".")[0]} for name in present):
        raise MachineError(f"device {text}: leaves out everything{_list_present(present)}")


def _check_real(name: str, text: str, present: tuple[str, ...]) -> None:
    """A family without a number is its first device; ``GPU.0`` is ``GPU`` where there is only one."""
    if name in present or f"{name}.0" in present or (name.endswith(".0") and name != "CPU.0" and name[:-2] in present):
        return
    where = "" if name == text else f"device {text}: "
    if name.partition(".")[0] in REAL:
        raise MachineError(f"{where}device {name} isn't on this machine{_list_present(present)}")
    near = _suggest(name, (*present, *REAL, *VIRTUAL))
    raise MachineError(f"{where}{name!r} is no device that OpenVINO knows{near}{_list_present(present)}")


def _list_present(present: tuple[str, ...]) -> str:
    return f"; there is {', '.join(present)}, and AUTO chooses by itself" if present else "; there is none"


def _suggest(word: str, known: Iterable[str]) -> str:
    return did_you_mean(word.upper(), known, cutoff=0.4, listed=False)


def to_properties(configuration: Configuration, *, pinning: bool | None = None) -> dict[str, Any]:
    """The configuration as OpenVINO's properties.

    Threads and pinning go to the CPU alone; other devices refuse them. None leaves pinning to the plugin.
    """
    # The precision is always given: the CPU plugin would pick bf16 silently where it has it.
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
    """Whether nothing but the CPU can run what is given to device ``text``."""
    # AUTO alone may choose any device that is there.
    _, colon, entries = text.partition(":")
    wanted = entries.split(",") if colon else [text]
    if text in ("AUTO", "AUTO:") or all(entry.startswith("-") for entry in wanted):
        wanted = list(open_core().available_devices)
    return all(re.split(r"[.(]", entry)[0] == "CPU" for entry in wanted if not entry.startswith("-"))
