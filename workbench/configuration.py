"""How a candidate is run."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["f32", "bf16", "f16"]


@dataclass(frozen=True)
class Configuration:
    """OpenVINO's run-time choices; 0 leaves streams, threads and infer requests to the plugin.

    `batch` is the most pictures of one inference; more than 1 is for graphs that can be reshaped, and gain by it."""

    device: str = "CPU"
    hint: Literal["latency", "throughput"] = "latency"
    precision: Precision = "f32"
    streams: int = 0
    threads: int = 0
    infer_requests: int = 0
    batch: int = 1

    def __str__(self) -> str:
        return f"{self.hint} {self.precision}"
