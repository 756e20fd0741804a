"""A manifest of the workbench, changed field by field: the service rejects every change that matters."""

import copy
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from danmatte.contract import artifact
from danmatte.engine import OpenVinoEngine
from danmatte.errors import ManifestError, ModelError
from tests.contract.conftest import Publish, manifest

Place = tuple[str | int, ...]
SCHEMA = json.loads((Path(__file__).parents[2] / "models/manifest.schema.json").read_text("utf-8"))


def tables(document: Any, place: Place = ()) -> Iterator[tuple[Place, dict[str, Any]]]:
    """Yield every object in the document, with its path; of a list, only the first item."""
    if isinstance(document, dict):
        yield place, document
        for name, value in document.items():
            yield from tables(value, (*place, name))
    elif isinstance(document, list) and document:
        yield from tables(document[0], (*place, 0))


def numbers(document: Any, place: Place = ()) -> Iterator[Place]:
    """Yield the path of every number."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in items:
        if isinstance(value, dict | list):
            yield from numbers(value, (*place, name))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield (*place, name)


def is_free(place: Place) -> bool:
    """Return whether the path is in an object whose keys aren't defined by the contract."""
    return place[:2] == ("recipe", "toolchain") or (place[:2] == ("recipe", "steps") and place[3:4] == ("fields",))


def at(document: Any, place: Place) -> Any:
    for part in place:
        document = document[part]
    return document


def changed(document: dict[str, Any], place: Place, name: str | int, value: Any = ...) -> dict[str, Any]:
    """Return a copy with one value set or removed."""
    document = copy.deepcopy(document)
    table = at(document, place)
    table[name] = value
    if value is ...:
        del table[name]
    return document


def read(folder: Path) -> artifact.Artifact:
    return artifact.read_version(folder.parents[1], folder.parent.name, int(folder.name))


def accepted(folder: Path, document: dict[str, Any]) -> bool:
    """Return whether the service accepts the manifest."""
    (folder / "manifest.json").write_text(json.dumps(document), "utf-8")
    try:
        read(folder)
    except ManifestError:
        return False
    return True


def fits(document: dict[str, Any]) -> bool:
    """Return whether the schema accepts the manifest."""
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def test_a_published_manifest_is_accepted_and_valid_by_the_schema(folder: Path) -> None:
    assert accepted(folder, manifest(folder))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(manifest(folder), SCHEMA)


def test_every_field_is_required(folder: Path) -> None:
    good = manifest(folder)
    spoilt = {
        (*place, name): changed(good, place, name)
        for place, table in tables(good)
        if not is_free(place)
        for name in table
        # Versions that were compared on one CPU only, or on pictures of one kind, don't have these.
        if name not in ("confirmed", "kinds")
    }
    assert len(spoilt) > 50
    assert [place for place, document in spoilt.items() if accepted(folder, document)] == []
    assert [place for place, document in spoilt.items() if fits(document)] == []


def test_an_unknown_field_is_an_error_at_every_level(folder: Path) -> None:
    good = manifest(folder)
    spoilt = {place: changed(good, place, "surprise", 1) for place, _ in tables(good) if not is_free(place)}
    assert len(spoilt) > 12
    assert [place for place, document in spoilt.items() if accepted(folder, document)] == []
    assert [place for place, document in spoilt.items() if fits(document)] == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e300, 10**30, "1", None, True, [1]], ids=repr)
def test_numbers_of_a_wrong_type_or_range_are_refused(folder: Path, wrong: object) -> None:
    good = manifest(folder)
    passed = [
        place
        for place in numbers(good)
        if not is_free(place) and accepted(folder, changed(good, place[:-1], place[-1], wrong))
    ]
    # A measurement may be any finite number, as long as its interval holds it.
    if wrong in (1e300, 10**30):
        passed = [
            place for place in passed if place[0] not in ("measurements", "confirmed", "kinds") or place[2] != "high"
        ]
    assert passed == []


@pytest.mark.parametrize("name", ["graph.xml", "graph.bin"])
def test_a_wrong_digest_or_size_is_refused(folder: Path, name: str) -> None:
    good = manifest(folder)
    stored = good["files"][name]
    assert not accepted(folder, changed(good, ("files", name), "sha256", stored["sha256"][::-1]))
    assert not accepted(folder, changed(good, ("files", name), "size_bytes", stored["size_bytes"] + 1))


def test_exchanged_graph_files_are_refused(folder: Path) -> None:
    xml, weights = folder / "graph.xml", folder / "graph.bin"
    kept = xml.read_bytes()
    xml.write_bytes(weights.read_bytes())
    weights.write_bytes(kept)
    with pytest.raises(ManifestError, match=r"graph\.xml"):
        read(folder)


@pytest.mark.parametrize("name", ["graph.xml", "graph.bin", "manifest.json"])
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ManifestError, match=name.replace(".", r"\.")):
        read(folder)


def test_a_version_in_a_folder_of_a_different_number_or_name_is_refused(folder: Path) -> None:
    for place in (folder.parent / "2", folder.parents[1] / "other/1"):
        shutil.copytree(folder, place)
        with pytest.raises(ManifestError, match="as in the path"):
            read(place)


def test_a_graph_whose_shapes_differ_from_the_manifest_is_refused(published: Publish) -> None:
    """Ports and shapes are compared with the graph itself."""
    folder = published()
    altered = changed(manifest(folder), ("outputs", 0), "shape", [1, 32, 33, 1])
    assert accepted(folder, altered)
    found = read(folder)
    with pytest.raises(ModelError, match="output: expected"):
        OpenVinoEngine(found.manifest, found.graph, found.weights, cores=1)
