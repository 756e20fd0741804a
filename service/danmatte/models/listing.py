"""The description of models and their versions that clients and administrators get."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from danmatte.contract.ports import PictureInput
from danmatte.models.lru import VersionLru
from danmatte.models.state import ModelState


class VersionListing(Struct, frozen=True, omit_defaults=True):
    """A version: `ready`, `available` on demand, or `failed` for a `reason`.

    The other fields are set for a ready version. `input`: (height, width) of its picture, if it takes one. `outputs`:
    the meaning of each output, by the output's name. `regions`: the regions that masks can be made of. `disagreement`:
    how far its masks on this CPU are from those stored with it, in points from 0 to 100; `warning`: says so if that is
    too much.
    """

    version: int
    state: Literal["ready", "available", "failed"]
    input: tuple[int, int] | None = None
    precision: str = ""
    reason: str = ""
    labels: list[str] = []
    disagreement: float | None = None
    warning: str = ""
    outputs: dict[str, str] = {}
    regions: list[str] = []


class ModelListing(Struct, frozen=True, omit_defaults=True):
    """A model and its versions, newest first; `trouble` says why its policy can't be followed."""

    name: str
    default: bool
    versions: list[VersionListing]
    unloaded: bool = False
    trouble: str = ""


def list_model(model: ModelState, spares: VersionLru, *, is_default: bool) -> ModelListing:
    """Return the model with all versions that are on disk or still open."""
    known = {*model.found.versions, *(served.manifest.version for served in model.open)}
    return ModelListing(
        name=model.name,
        default=is_default,
        versions=[_list_version(model, spares, version) for version in sorted(known, reverse=True)],
        unloaded=not model.policy.enabled,
        trouble=model.explain_unmet(),
    )


def _list_version(model: ModelState, spares: VersionLru, version: int) -> VersionListing:
    labels = model.labels_of(version)
    if served := model.get_open(version) or spares.peek((model.name, version)):
        manifest = served.manifest
        picture = next((port for port in manifest.inputs if isinstance(port, PictureInput)), None)
        return VersionListing(
            version,
            "ready",
            input=picture.largest_size if picture else None,
            precision=served.engine.precision,
            labels=labels,
            outputs={port.name: port.meaning for port in manifest.outputs},
            regions=[region for _, _, region in manifest.list_channels()],
            disagreement=served.disagreement,
            warning=served.warning,
        )
    if version in model.faults:
        return VersionListing(version, "failed", reason=model.faults[version].reason, labels=labels)
    return VersionListing(version, "available", labels=labels)


def explain_absence(models: Iterable[ModelState], name: str) -> str:
    """Return why the model isn't served, or without a name why no model is."""
    wanted = [model for model in models if name in ("", model.name)]
    faults = [model.explain(version) for model in wanted for version in model.faults]
    faults += [model.trouble for model in wanted if model.trouble]
    if faults:
        return "no version can be served: " + "; ".join(faults)
    if any(not model.policy.enabled for model in wanted):
        return f"{name or 'the only model'} was unloaded"
    return f"expected <name>/<version>/manifest.json of a model{f' named {name!r}' if name else ''}"
