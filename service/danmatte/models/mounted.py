"""A folder that holds a single model instead of a folder of models, as KServe mounts it: one version or several."""

import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from danmatte.contract import artifact
from danmatte.contract.manifest import NAME, encode
from danmatte.errors import SettingsError
from danmatte.models import policy
from danmatte.settings import Settings

log = logging.getLogger(__name__)


@contextmanager
def open_mounted(settings: Settings) -> Iterator[Settings]:
    """Yield the settings; for a mounted model, with a temporary folder of models that is removed after the block.

    The model's name is `settings.model`, or otherwise the name in its newest manifest. Its versions are copied once, so
    versions that are mounted later are ignored. Raises SettingsError, and ManifestError for a version that can't be
    read.
    """
    home = settings.models_folder
    numbered = sorted(place for place in home.glob("[1-9]*") if re.fullmatch(r"[1-9][0-9]{0,14}", place.name))
    found = [place for place in (home, *numbered) if (place / artifact.MANIFEST).is_file()]
    if not found:
        yield settings
        return
    with TemporaryDirectory(prefix="danmatte-models-") as folder:
        manifests = {place: artifact.read_manifest(place) for place in found}
        name = settings.model or max(manifests.values(), key=lambda manifest: manifest.version).name
        if not re.search(NAME, name):
            raise SettingsError(f"model: expected a model's name, {NAME}, received {name!r}")
        for place, manifest in manifests.items():
            target = Path(folder) / name / str(manifest.version)
            target.mkdir(parents=True)
            for file in artifact.FILES:
                if file != artifact.MANIFEST and (place / file).is_file():
                    shutil.copyfile(place / file, target / file)
            renamed = encode(msgspec.structs.replace(manifest, name=name), str(place))
            (target / artifact.MANIFEST).write_text(renamed, encoding="utf-8")
        policies = settings.models_folder / policy.FILE
        if policies.is_file():
            shutil.copyfile(policies, Path(folder) / name / policy.FILE)
        log.info("%s: a single model, served as %s", settings.models_folder, name)
        yield msgspec.structs.replace(settings, models=folder, model=name)
