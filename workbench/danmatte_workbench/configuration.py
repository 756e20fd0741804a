"""How a candidate is run, and the settings of it that a sweep tries."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from danmatte_workbench.errors import InputError

Precision = Literal["f32", "bf16", "f16"]
Hint = Literal["latency", "throughput"]
COUNTS = {"streams": range(1025), "threads": range(1025), "infer_requests": range(1025), "batch": range(1, 65)}


@dataclass(frozen=True)
class Configuration:
    """OpenVINO's run-time choices; 0 leaves streams, threads and infer requests to the plugin.

    ``device`` is any of OpenVINO's device strings; `backends.devices.check_device` says which ones can be used here.
    ``batch`` is the most pictures of one inference; more than 1 is for graphs that can be reshaped, and gain by it.
    """

    device: str = "CPU"
    hint: Hint = "latency"
    precision: Precision = "f32"
    streams: int = 0
    threads: int = 0
    infer_requests: int = 0
    batch: int = 1

    def __post_init__(self) -> None:
        """Raises InputError for what the contract's page doesn't allow."""
        for name, choices in (("hint", get_args(Hint)), ("precision", get_args(Precision))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name}: expected {' or '.join(choices)}, received {getattr(self, name)!r}")
        for name, numbers in COUNTS.items():
            number = getattr(self, name)
            if type(number) is not int or number not in numbers:
                raise InputError(f"{name}: expected a number from {numbers[0]} to {numbers[-1]}, received {number!r}")
        if not self.device:
            raise InputError(f"device: expected one of OpenVINO's, such as CPU, received {self.device!r}")

    def __str__(self) -> str:
        where = "" if self.device == "CPU" else f" on {self.device}"
        return f"{self.hint} {self.precision}{where}"


@dataclass(frozen=True)
class Setting:
    """One place in the space that a sweep searches.

    ``threads`` of 0 leaves them to the device; pinning is the CPU plugin's own default.
    """

    batch: int = 1
    streams: int = 1
    threads: int = 0
    requests: int = 1
    pinning: bool = True

    def __post_init__(self) -> None:
        if min(self.batch, self.streams, self.requests) < 1 or self.threads < 0:
            raise ValueError(f"expected numbers above 0. Received: {self}")

    def configuration(self, base: Configuration) -> Configuration:
        """``base``, its device and precision, run so; pinning isn't the contract's to say."""
        return replace(
            base,
            hint="latency" if self.requests == 1 else "throughput",
            streams=self.streams,
            threads=self.threads,
            infer_requests=self.requests,
            batch=self.batch,
        )

    def __str__(self) -> str:
        pinned = "" if self.pinning else ", not pinned"
        return f"batch {self.batch}, streams {self.streams}, threads {self.threads}, requests {self.requests}{pinned}"
