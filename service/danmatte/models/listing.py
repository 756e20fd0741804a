"""What is told of models and their versions."""

from collections.abc import Iterable
from typing import Any

from danmatte.models.lru import Spares
from danmatte.models.state import Shelf


def listed(shelf: Shelf, spares: Spares, is_default: bool) -> dict[str, Any]:
    """A model and its versions: `ready`, `available` on demand, or `failed` and why."""
    known = {*shelf.found.versions, *(served.manifest.version for served in shelf.open)}
    told: dict[str, Any] = {
        "name": shelf.name,
        "default": is_default,
        "versions": [_version(shelf, spares, version) for version in sorted(known, reverse=True)],
    }
    if not shelf.policy.enabled:
        told["unloaded"] = True
    if unmet := shelf.unmet():
        told["trouble"] = unmet
    return told


def _version(shelf: Shelf, spares: Spares, version: int) -> dict[str, Any]:
    told: dict[str, Any] = {"version": version, "state": "available"}
    if served := shelf.has(version) or spares.peek((shelf.name, version)):
        _, height, width, _ = served.manifest.input.shape
        told |= {"state": "ready", "input": [height, width], "precision": served.engine.precision}
    elif version in shelf.faults:
        told |= {"state": "failed", "reason": shelf.faults[version].reason}
    labels = shelf.labels(version)
    return told | ({"labels": labels} if labels else {})


def why_not(shelves: Iterable[Shelf], name: str) -> str:
    """Why the model isn't served; of any model, when no name is given."""
    wanted = [shelf for shelf in shelves if name in ("", shelf.name)]
    faults = [shelf.reason(version) for shelf in wanted for version in shelf.faults]
    faults += [shelf.trouble for shelf in wanted if shelf.trouble]
    if faults:
        return "no version can be served: " + "; ".join(faults)
    if any(not shelf.policy.enabled for shelf in wanted):
        return f"{name or 'the only model'} was unloaded"
    return f"expected <name>/<version>/manifest.json of a model{f' named {name!r}' if name else ''}"
