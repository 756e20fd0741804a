"""How a candidate is run, and the settings that a sweep tries."""

from dataclasses import dataclass
from typing import Any

from msgspec.structs import asdict

from danmatte.contract.configuration import Configuration, Hint, Precision
from danmatte_workbench.errors import InputError


def configure(  # noqa: PLR0913 - one for each field of a Configuration
    device: str = "CPU",
    hint: Hint = "latency",
    precision: Precision = "f32",
    streams: int = 0,
    threads: int = 0,
    infer_requests: int = 0,
    batch: int = 1,
) -> Configuration:
    """Return a configuration with defaults for the omitted fields.

    device: any of OpenVINO's device strings; `runtimes.devices.check_device` checks that it can be used on this
        machine.
    streams, threads, infer_requests: 0 lets the plugin choose.
    batch: the maximum number of pictures in one inference; more than 1 is for graphs that can be reshaped and that are
        faster with it.

    Raises InputError for values that the contract forbids.
    """
    try:
        return Configuration(device, hint, precision, streams, threads, infer_requests, batch)
    except ValueError as error:
        raise InputError(str(error)) from error


def reconfigure(base: Configuration, **changes: Any) -> Configuration:
    """Return ``base`` with the given fields changed. Raises InputError for values that the contract forbids."""
    return configure(**(asdict(base) | changes))


@dataclass(frozen=True)
class Setting:
    """One point in the space that a sweep searches.

    If ``threads`` is 0, the device chooses. ``pinning`` is the CPU plugin's own default.
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
        """Return ``base`` with these settings; its device and precision stay, and pinning isn't part of it."""
        return reconfigure(
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
