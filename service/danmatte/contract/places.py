"""Where models are when nobody says so: in this folder, in the checkout, or in the installed package."""

from pathlib import Path

from danmatte.contract.artifact import list_models, list_versions

_PACKAGE = Path(__file__).parents[1]
CHECKOUT = _PACKAGE.parents[1] / "models"
BUNDLED = _PACKAGE / "bundled"  # in a wheel: the default model as published, and the graph that it was made from


def find_models() -> Path:
    """The folder of models that is served: `./models` if a version is published there, or what came with danmatte."""
    here = Path("models")
    is_published = any(list_versions(here, name) for name in list_models(here))
    return here if is_published else _find_own()


def list_model_folders() -> list[Path]:
    """Where a model is looked up by its name, in this order."""
    return list(dict.fromkeys([choose_models(), _find_own()]))


def choose_models() -> Path:
    """The folder that new versions are published in: a checkout's, or else `./models`."""
    return CHECKOUT if is_checkout() else Path("models")


def is_checkout() -> bool:
    """Whether this runs from the repository rather than from an installed wheel."""
    return (CHECKOUT / "CONTRACT.md").is_file()


def _find_own() -> Path:
    return CHECKOUT if is_checkout() else BUNDLED
