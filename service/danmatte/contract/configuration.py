"""How a graph is run: OpenVINO's runtime options."""

from typing import Annotated, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

Hint: TypeAlias = Literal["latency", "throughput"]
Precision: TypeAlias = Literal["f32", "bf16", "f16"]
Device = Annotated[str, Meta(pattern=r"^[A-Z]{2,10}(\.[0-9]{1,3})?$(?!\n)")]
Threads = Annotated[int, Meta(ge=0, le=1024)]
Batch = Annotated[int, Meta(ge=1, le=64)]

COUNTS = {"streams": range(1025), "threads": range(1025), "infer_requests": range(1025), "batch": range(1, 65)}


class Configuration(Struct, frozen=True, forbid_unknown_fields=True):
    """How a version was measured and should be run; 0 leaves the choice of a number to the server."""

    # No field has a default, so that every manifest states all of them. `Device` limits only manifests, which are
    # validated when they are read: a candidate may run on any OpenVINO device, such as `HETERO:GPU,CPU`.
    device: Device
    hint: Hint
    precision: Precision
    streams: Threads
    threads: Threads
    infer_requests: Threads
    batch: Batch

    def __post_init__(self) -> None:
        """Raise ValueError for values that the contract doesn't allow; the types are checked only in JSON."""
        for name, choices in (("hint", get_args(Hint)), ("precision", get_args(Precision))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: expected {' or '.join(choices)}, received {getattr(self, name)!r}")
        for name, numbers in COUNTS.items():
            number = getattr(self, name)
            if type(number) is not int or number not in numbers:
                raise ValueError(f"{name}: expected a number from {numbers[0]} to {numbers[-1]}, received {number!r}")
        if not self.device:
            raise ValueError(f"device: expected one of OpenVINO's, such as CPU, received {self.device!r}")

    def __str__(self) -> str:
        where = "" if self.device == "CPU" else f" on {self.device}"
        return f"{self.hint} {self.precision}{where}"
