"""A single model that is mounted as KServe does: one version or a folder of versions, under any name."""

import json
import shutil
import urllib.request
from pathlib import Path

import pytest

from danmatte import cli
from danmatte.contract import artifact
from danmatte.errors import ManifestError, SettingsError
from danmatte.models import policy
from danmatte.models.mounted import open_mounted
from danmatte.settings import Settings
from tests.service.serving import program


def test_settings_for_a_folder_of_models_are_unchanged(models: Path) -> None:
    settings = Settings(models=str(models))
    with open_mounted(settings) as found:
        assert found is settings


@pytest.mark.parametrize("name", ["matte", "", "toy"])
def test_a_single_version_is_served_under_the_given_name(models: Path, name: str) -> None:
    with open_mounted(Settings(models=str(models / "toy/2"), model=name)) as found:
        root = Path(found.models)
        assert artifact.list_models(root) == [name or "toy"]
        assert artifact.list_versions(root, found.model) == [2]
        read = artifact.read_version(root, found.model, 2)
        assert read.manifest.name == found.model
        assert read.graph == (models / "toy/2/graph.xml").read_bytes()
    assert not root.exists()


def test_a_folder_of_versions_keeps_all_versions_and_their_policy(models: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mnt"
    shutil.copytree(models / "toy", mounted)
    (mounted / policy.FILE).write_text("pin = 1\n")
    (mounted / "notes").mkdir()
    with open_mounted(Settings(models=str(mounted), model="matte")) as found:
        root = Path(found.models)
        assert artifact.list_versions(root, "matte") == [2, 1]
        assert policy.read_policy(root, "matte").pin == 1


def test_a_fault_in_a_mounted_version_is_reported_with_its_original_path(models: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mnt"
    shutil.copytree(models / "toy/1", mounted)
    (mounted / artifact.MANIFEST).write_text("{}")
    with pytest.raises(ManifestError, match=r"mnt/manifest\.json"), open_mounted(Settings(models=str(mounted))):
        pass


def test_an_invalid_model_name_is_rejected(models: Path) -> None:
    with (
        pytest.raises(SettingsError, match="model: expected a model's name"),
        open_mounted(Settings(models=str(models / "toy/2"), model="../up")),
    ):
        pass


@pytest.mark.parametrize("place", ["toy", "toy/2"])
def test_the_server_serves_a_mounted_model_under_the_given_name(models: Path, place: str) -> None:
    with program(models / place, "--model", "matte") as (_, url):
        with urllib.request.urlopen(f"{url}/v2/models/matte", timeout=30) as response:
            assert json.load(response)["name"] == "matte"
        with urllib.request.urlopen(f"{url}/v2/models/matte/ready", timeout=30) as response:
            assert response.status == 200


def test_check_config_checks_a_mounted_version(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", "--models", str(models / "toy/2"), "--model", "matte"]) == 0
    assert "# matte/2: good" in capsys.readouterr().out
