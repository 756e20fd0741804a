"""The drawing of the house: which room is on which floor, and who may let which library in.

A module imports only from lower floors, absolutely; sideways only inside its own folder. A new module is
one line here, on the lowest floor that works.
"""

FLOORS: dict[str, dict[str, int]] = {
    "workbench": {
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
        "backends": 2,
        "probe": 3,
        "steps": 3,
        "metrics": 3,
        "training": 3,
        "tuning": 4,
        "experiment": 5,
        "publish": 6,
        "report": 6,
        "commands": 7,
        "cli": 8,
        "__main__": 9,
    },
    "service": {
        "__init__": 0,
        "errors": 0,
        "frame": 0,
        "access_log": 1,
        "cores": 1,
        "edges": 1,
        "keys": 1,
        "logbook": 1,
        "manifest": 1,
        "metrics": 1,
        "motion": 1,
        "scaling": 1,
        "settings": 1,
        "sharing": 1,
        "slot": 1,
        "turns": 1,
        "wire": 1,
        "client": 2,
        "tracing": 2,
        "artifact": 2,
        "codecs": 2,
        "geometry": 2,
        "sights": 2,
        "threads": 2,
        "engine": 3,
        "stabiliser": 3,
        "admission": 4,
        "inference": 4,
        "repository": 4,
        "steadying": 4,
        "matting": 4,
        "protocols": 5,
        "tracks": 5,
        "listening": 6,
        "surroundings": 6,
        "rehearsal": 7,
        "app": 7,
        "workers": 8,
        "cli": 9,
        "__main__": 10,
    },
}

# The only rooms that may import a library; whatever isn't named here may be imported anywhere.
CONFINED: dict[str, tuple[str, ...]] = {
    "tensorflow": ("workbench.backends", "workbench.training"),
    "keras": ("workbench.backends", "workbench.training"),
    "torch": ("workbench.backends", "workbench.training"),
    "nncf": ("workbench.backends",),
    "openvino": ("workbench.backends", "service.engine"),
    "aiohttp": ("service",),
    "grpc": ("service.protocols.grpc",),
}

PACKAGES = tuple(FLOORS)
FILE_LINES = 300
FUNCTION_LINES = 50
