"""What is tried at which effort."""

from dataclasses import dataclass

from workbench.backends import openvino
from workbench.configuration import Configuration
from workbench.errors import InputError
from workbench.hardware import usable_cores

EFFORTS = ("quick", "standard", "thorough")


@dataclass(frozen=True)
class Plan:
    """A recipe in one configuration."""

    recipe: str
    configuration: Configuration

    @property
    def name(self) -> str:
        """Recipe, precision and hint, as the report shows it."""
        return f"{self.recipe} {self.configuration}"


@dataclass(frozen=True)
class Effort:
    """How much is tried and how long it is measured: frames to calibrate on and to compare, rounds of seconds."""

    name: str
    plans: tuple[Plan, ...]
    calibration: int
    frames: int
    rounds: int
    round_s: float


def plan(effort: str) -> Effort:
    """The trials of that effort on this machine."""
    if effort not in EFFORTS:
        raise InputError(f"--effort: expected one of {', '.join(EFFORTS)}, received {effort}")
    if effort == "quick":
        return Effort(effort, _plans(("float", "int8")), calibration=32, frames=120, rounds=7, round_s=0.4)
    recipes = ("float", "int8", "int8-mixed")
    if effort == "standard":
        return Effort(effort, _plans(recipes), calibration=128, frames=400, rounds=15, round_s=0.8)
    return Effort(effort, _plans(recipes), calibration=300, frames=2000, rounds=31, round_s=1.5)


def _plans(recipes: tuple[str, ...]) -> tuple[Plan, ...]:
    cores = usable_cores()
    precisions = [name for name in ("f32", "bf16") if name in openvino.precisions()]
    return tuple(
        Plan(recipe, configuration)
        for recipe in recipes
        for precision in precisions
        for configuration in (
            Configuration(hint="latency", precision=precision, streams=1, threads=cores, infer_requests=1),
            Configuration(
                hint="throughput", precision=precision, streams=cores, threads=cores, infer_requests=2 * cores
            ),
        )
    )
