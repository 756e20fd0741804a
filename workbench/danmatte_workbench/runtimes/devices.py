"""OpenVINO's devices: what is there, which device strings can be used here, and what each may be told."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import openvino as ov

from danmatte.contract.configuration import Configuration
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import MachineError

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


def devices() -> tuple[Device, ...]:
    """The devices that OpenVINO finds; virtual ones (AUTO, HETERO, MULTI, BATCH) are made of these."""
    core = ov.Core()
    return tuple(_described(core, name) for name in core.available_devices)


def _described(core: ov.Core, name: str) -> Device:
    def known(key: str, otherwise: Any) -> Any:
        try:
            return core.get_property(name, key)
        except RuntimeError:
            return otherwise

    return Device(
        name=name,
        full_name=str(known("FULL_DEVICE_NAME", "")),
        capabilities=tuple(sorted(known("OPTIMIZATION_CAPABILITIES", ()))),
        streams=int(known("RANGE_FOR_STREAMS", (1, 1))[1]),
    )


def check_device(text: str, *, there: Iterable[str] | None = None) -> None:
    """Raises MachineError, which names the devices that are there, unless ``text`` can be used on this machine.

    text: a device (CPU, GPU.1), AUTO, or one of AUTO, BATCH, HETERO, MULTI with those it may use (HETERO:GPU,CPU).
    there: OpenVINO's list of devices; asked for where it isn't given.
    """
    present = tuple(ov.Core().available_devices if there is None else there)
    virtual, colon, entries = text.partition(":")
    if not colon and text not in VIRTUAL:
        _check_real(text, text, present)
        return
    if virtual not in VIRTUAL:
        raise MachineError(f"device {text}: expected {', '.join(VIRTUAL)} before the colon{_nearest(virtual, VIRTUAL)}")
    if not entries and virtual != "AUTO":
        raise MachineError(f"device {text}: expected devices, such as {virtual}:CPU{_there(present)}")
    for entry in entries.split(",") if entries else ():
        _check_entry(entry, text, present)
    left_out = {entry[1:] for entry in entries.split(",") if entry.startswith("-")}
    if all(left_out & {name, name.partition(".")[0]} for name in present):
        raise MachineError(f"device {text}: leaves out everything{_there(present)}")


def _check_entry(entry: str, text: str, present: tuple[str, ...]) -> None:
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise MachineError(f"device {text}: expected devices between commas, received {entry!r}{_there(present)}")
    if not match["without"]:
        _check_real(match["name"] + match["number"], text, present)
    elif not text.startswith("AUTO:"):
        raise MachineError(f"device {text}: only AUTO can leave devices out, received {entry}")
    elif match["name"] not in REAL:
        raise MachineError(f"device {text}: there is no device {match['name']}{_nearest(match['name'], REAL)}")


def _check_real(name: str, text: str, present: tuple[str, ...]) -> None:
    """A family without a number is its first device; ``GPU.0`` is ``GPU`` where there is only one."""
    if name in present or f"{name}.0" in present or (name.endswith(".0") and name != "CPU.0" and name[:-2] in present):
        return
    where = "" if name == text else f"device {text}: "
    if name.partition(".")[0] in REAL:
        raise MachineError(f"{where}device {name} isn't on this machine{_there(present)}")
    near = _nearest(name, (*present, *REAL, *VIRTUAL))
    raise MachineError(f"{where}{name!r} is no device that OpenVINO knows{near}{_there(present)}")


def _there(present: tuple[str, ...]) -> str:
    return f"; there is {', '.join(present)}, and AUTO chooses by itself" if present else "; there is none"


def _nearest(word: str, known: Iterable[str]) -> str:
    return did_you_mean(word.upper(), known, cutoff=0.4, listed=False)


def properties(configuration: Configuration, *, pinning: bool | None = None) -> dict[str, Any]:
    """What the plugin is told. Precision is always said: the CPU plugin would pick bf16 silently where it has it.

    Threads and pinning are the CPU's alone; other devices refuse to hear of them. None leaves pinning to the plugin.
    """
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
    return all(name == "CPU" for name in _families(text))


def _families(text: str) -> Iterator[str]:
    """The kinds of device that ``text`` may run on; AUTO alone may be any that is there."""
    _, colon, entries = text.partition(":")
    wanted = entries.split(",") if colon else [text]
    if text in ("AUTO", "AUTO:") or all(entry.startswith("-") for entry in wanted):
        wanted = list(ov.Core().available_devices)
    yield from (re.split(r"[.(]", entry)[0] for entry in wanted if not entry.startswith("-"))
