"""Selecting a track's regions by name."""

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.errors import InvalidParameterError
from danmatte.tracks.regions import RegionUnion
from tests.service.toy import Toy, manifest


def make_manifest(*channels: tuple[str, float]) -> Manifest:
    """Return a model with one NCHW output of these regions and thresholds."""
    facts = manifest(Toy())
    (port,) = facts["outputs"]
    high, wide = port["shape"][1:3]
    port |= {"layout": "NCHW", "shape": [1, len(channels), high, wide]}
    port["channels"] = [{"region": region, "threshold": threshold} for region, threshold in channels]
    return msgspec.convert(facts, Manifest)


def test_a_union_applies_each_regions_own_threshold() -> None:
    union = RegionUnion(make_manifest(("person", 0.5), ("text", 0.2)), ("person", "text"))
    person, text = np.array([[0.6, 0.1, 0.1, 0.0]], np.float32), np.array([[0.0, 0.25, 0.15, 1.0]], np.float32)
    found = union.select((np.stack([person, text])[None],))
    assert (found >= 0.5).tolist() == [[True, True, False, True]]
    assert found[0, 3] == 1
    assert found.min() >= 0


def test_without_names_the_main_region_of_the_model_is_returned_unchanged() -> None:
    given = make_manifest(("sky", 0.5), ("person", 0.5))
    values = np.random.default_rng(0).random((1, 2, 6, 10), np.float32)
    assert np.array_equal(RegionUnion(given).select((values,)), values[0, 1])


def test_an_unknown_region_is_rejected() -> None:
    with pytest.raises(InvalidParameterError, match="doesn't know 'txt'"):
        RegionUnion(make_manifest(("person", 0.5), ("text", 0.5)), ("person", "txt"))


def test_regions_with_different_grids_are_rejected() -> None:
    facts = manifest(Toy())
    (port,) = facts["outputs"]
    other = msgspec.json.decode(msgspec.json.encode(port)) | {"name": "letters"}
    other["channels"] = [{"region": "text", "threshold": 0.5}]
    other["grid"] = {key: value * 2 for key, value in other["grid"].items()}
    facts["outputs"].append(other)
    with pytest.raises(InvalidParameterError, match="expected regions with the same grid"):
        RegionUnion(msgspec.convert(facts, Manifest), ("person", "text"))
