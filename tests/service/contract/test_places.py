"""Where models are looked up, in a checkout and with only the wheel installed."""

from pathlib import Path

import pytest

from danmatte.contract import places
from tests.service.toy import publish


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate an installation outside of any checkout; return the package's bundled models."""
    bundled, here = tmp_path / "package/bundled", tmp_path / "here"
    publish(bundled)
    here.mkdir()
    monkeypatch.setattr(places, "CHECKOUT", tmp_path / "no/models")
    monkeypatch.setattr(places, "BUNDLED", bundled)
    monkeypatch.chdir(here)
    return bundled


def test_the_bundled_model_is_found_from_an_empty_folder(installed: Path) -> None:
    assert places.find_models() == installed


def test_models_in_the_current_folder_take_precedence_over_bundled_ones(installed: Path) -> None:
    publish(Path("models"))
    assert places.find_models() == Path("models")


def test_a_folder_named_models_without_published_versions_is_ignored(installed: Path) -> None:
    (Path("models") / "weights").mkdir(parents=True)
    (Path("models") / "weights/person.onnx").touch()
    assert places.find_models() == installed


def test_an_installation_publishes_to_the_current_folder_and_finds_bundled_models(installed: Path) -> None:
    assert places.choose_models() == Path("models")
    assert places.list_model_folders() == [Path("models"), installed]


def test_a_checkout_uses_its_own_models_folder_from_any_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[3] / "models"
    monkeypatch.chdir(tmp_path)
    assert places.is_checkout()
    assert places.find_models() == places.choose_models() == root
    assert places.list_model_folders() == [root]
