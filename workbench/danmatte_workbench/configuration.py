"""How a candidate is run, and the settings of it that a sweep tries."""

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
    """A configuration, with what a user leaves out filled in. Raises InputError for what the contract doesn't allow.

    device: any of OpenVINO's device strings; `runtimes.devices.check_device` says which ones can be used here.
    streams, threads, infer_requests: 0 leaves them to the plugin.
    batch: the most pictures of one inference; more than 1 is for graphs that can be reshaped, and gain by it.
    """
    try:
        return Configuration(device, hint, precision, streams, threads, infer_requests, batch)
    except ValueError as error:
        raise InputError(str(error)) from error


def reconfigure(base: Configuration, **changes: Any) -> Configuration:
    """``base`` with these fields changed. Raises InputError for what the contract doesn't allow."""
    return configure(**(asdict(base) | changes))


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
