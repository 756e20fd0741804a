"""The drawing of the house: which room is on which floor, and who may let which library in.

A module imports only from lower floors, absolutely; sideways only inside its own folder. A new module is
one line here, on the lowest floor that works. Source roots are `service/` and `workbench/`.
"""

ROOTS: dict[str, str] = {"danmatte": "service/danmatte", "danmatte_workbench": "workbench/danmatte_workbench"}

FLOORS: dict[str, dict[str, int]] = {
    "danmatte_workbench": {
        "__init__": 0,
        "errors": 0,
        "measurement": 0,
        "artifact": 1,
        "budget": 1,
        "configuration": 1,
        "dataset": 1,
        "framing": 1,
        "hardware": 1,
        "processes": 1,
        "recipe": 1,
        "source": 2,
        "graph": 3,
        "runtimes": 4,
        "quantization": 5,
        "pruning": 6,
        "distillation": 6,
        "probing": 6,
        "metrics": 6,
        "training": 6,
        "steps": 7,
        "benchmark": 7,
        "experiment": 8,
        "publish": 9,
        "report": 9,
        "commands": 10,
        "cli": 11,
        "__main__": 12,
    },
    "danmatte": {
        "__init__": 0,
        "errors": 0,
        "frame": 0,
        "messages": 1,
        "settings": 1,
        "telemetry": 1,
        "contract": 1,
        "client": 2,
        "codecs": 2,
        "video": 2,
        "engine": 3,
        "models": 4,
        "inference": 4,
        "http": 5,
        "tracks": 5,
        "api": 6,
        "middleware": 7,
        "preflight": 7,
        "app": 8,
        "workers": 9,
        "cli": 10,
        "__main__": 11,
    },
}

# The only rooms that may import a library; whatever isn't named here may be imported anywhere.
CONFINED: dict[str, tuple[str, ...]] = {
    "tensorflow": ("danmatte_workbench.runtimes", "danmatte_workbench.distillation", "danmatte_workbench.training"),
    "keras": ("danmatte_workbench.distillation", "danmatte_workbench.training", "danmatte_workbench.runtimes"),
    "torch": ("danmatte_workbench.training",),
    "nncf": ("danmatte_workbench.quantization",),
    "openvino": (
        "danmatte_workbench.graph",
        "danmatte_workbench.runtimes",
        "danmatte_workbench.quantization",
        "danmatte_workbench.pruning",
        "danmatte_workbench.distillation",
        "danmatte_workbench.benchmark",
        "danmatte.engine",
    ),
    "aiohttp": ("danmatte",),
    "grpc": ("danmatte.api.grpc",),
}

PACKAGES = tuple(FLOORS)
FILE_LINES = 300
FUNCTION_LINES = 50
