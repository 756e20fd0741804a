"""What is tried at which effort."""

from dataclasses import dataclass

from workbench.backends import openvino
from workbench.configuration import Configuration, Precision
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
    floats = _plans(("float",), _precisions())
    if effort == "quick":
        plans = (*floats, *_plans(("int8", "int8-stride16"), ("f32",)))
        return Effort(effort, plans, calibration=32, frames=120, rounds=7, round_s=0.4)
    if effort == "standard":
        plans = (*floats, *_plans(("int8", "int8-stride16", "int8-pruned15", "int8-pruned30"), ("f32",)))
        return Effort(effort, plans, calibration=128, frames=400, rounds=9, round_s=0.6)
    recipes = (
        "int8",
        "int8-mixed",
        "int8-stride16",
        "int8-pruned15",
        "int8-pruned25",
        "int8-pruned30",
        "int8-pruned35",
    )
    plans = (*floats, *_plans(recipes, _precisions()))
    return Effort(effort, plans, calibration=300, frames=2000, rounds=31, round_s=1.5)


def _precisions() -> tuple[Precision, ...]:
    """Those that this CPU computes in; float16 isn't tried, no CPU gains by it over bfloat16."""
    known: tuple[Precision, ...] = ("f32", "bf16")
    return tuple(name for name in known if name in openvino.precisions())


def _plans(recipes: tuple[str, ...], precisions: tuple[Precision, ...]) -> tuple[Plan, ...]:
    cores = usable_cores()
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
