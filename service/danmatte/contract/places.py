"""The default folders of models: in the current folder, in the checkout, or in the installed package."""

from pathlib import Path

from danmatte.contract.artifact import list_models, list_versions

_PACKAGE = Path(__file__).parents[1]
CHECKOUT = _PACKAGE.parents[1] / "models"
BUNDLED = _PACKAGE / "bundled"  # in a wheel: the published default model, and the graph that it was made from


def find_models() -> Path:
    """Return the folder of models to serve: `./models` if it has a published version, otherwise danmatte's own."""
    here = Path("models")
    is_published = any(list_versions(here, name) for name in list_models(here))
    return here if is_published else _find_own()


def list_model_folders() -> list[Path]:
    """Return the folders in which a model is looked up by its name, in this order."""
    return list(dict.fromkeys([choose_models(), _find_own()]))


def choose_models() -> Path:
    """Return the folder for new versions: that of a checkout, or otherwise `./models`."""
    return CHECKOUT if is_checkout() else Path("models")


def is_checkout() -> bool:
    """Return whether danmatte runs from its repository rather than from an installed wheel."""
    return (CHECKOUT / "CONTRACT.md").is_file()


def _find_own() -> Path:
    return CHECKOUT if is_checkout() else BUNDLED
