"""The manifest, read as untrusted input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from danmatte.contract.manifest import MANIFEST_LIMIT_BYTES, ConfirmedKind, describe_schema, encode, parse
from danmatte.errors import ManifestError
from tests.service.ports import MEANINGS, describe_ports
from tests.service.toy import Toy, manifest, old_manifest

MODELS = Path(__file__).parents[3] / "models"
Spoil = Callable[[dict[str, Any]], object]


def text(document: dict[str, Any]) -> bytes:
    """Return the manifest's bytes as stored on disk."""
    return json.dumps(document).encode()


def test_a_valid_manifest_is_read() -> None:
    read = parse(text(manifest(Toy(height=32, width=64, step=8))))
    assert read.picture.shape == (1, 32, 64, 3)
    assert read.regions.grid.offset_y == 3.5
    assert read.files.graph.size_bytes > 0


def test_a_manifest_of_contract_1_is_read_as_a_model_of_one_region() -> None:
    old, new = (parse(text(write(Toy(colour="BGR")))) for write in (old_manifest, manifest))
    assert old == msgspec.structs.replace(new, contract=1)
    assert [(channel.region, channel.threshold) for channel in old.regions.channels] == [("person", 0.5)]


@pytest.mark.parametrize("meaning", MEANINGS)
def test_a_manifest_of_every_meaning_survives_a_round_trip(meaning: str) -> None:
    document = describe_ports(meaning)
    read = parse(text(document))
    assert [port.meaning for port in read.outputs] == [port["meaning"] for port in document["outputs"]]
    assert json.loads(encode(read)) == document


@pytest.mark.parametrize("place", sorted(MODELS.glob("*/*/manifest.json")), ids=lambda place: place.parent.name)
def test_published_manifests_survive_a_round_trip_byte_for_byte(place: Path) -> None:
    assert encode(parse(place.read_bytes())).encode() == place.read_bytes()


def test_encoding_refuses_a_manifest_that_parsing_would_refuse() -> None:
    made = parse((MODELS / "deeplab/4/manifest.json").read_bytes())
    wrong = msgspec.structs.replace(
        made, configuration=msgspec.structs.replace(made.configuration, device="HETERO:GPU")
    )
    with pytest.raises(ManifestError, match=r"new: \$\.configuration\.device: expected .* received 'HETERO:GPU'"):
        encode(wrong, "new")


def test_kinds_of_scene_are_optional_and_survive_a_round_trip() -> None:
    text = (MODELS / "deeplab/4/manifest.json").read_bytes()
    made = parse(text)
    assert made.kinds == []
    assert "kinds" not in json.loads(encode(made))
    night = ConfirmedKind("night", "iou_drop", 0.2, "points", 0.1, 0.3, 50)
    extended = msgspec.structs.replace(made, kinds=[night])
    assert parse(encode(extended).encode()).kinds == [night]


def test_a_kind_whose_interval_excludes_its_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"low <= value <= high in night, received 0\.3, 0\.2, 0\.4"):
        ConfirmedKind("night", "iou_drop", 0.2, "points", 0.3, 0.4, 50)


def test_the_schema_on_disk_is_current() -> None:
    kept = Path(__file__).parents[3] / "models" / "manifest.schema.json"
    assert json.loads(kept.read_text()) == describe_schema(), "run: danmatte schema > models/manifest.schema.json"


def put(path: str, value: object) -> Spoil:
    """Return a change that sets the field at this path, with slashes."""

    def spoil(document: Any) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            document = document[int(parent) if parent.isdecimal() else parent]
        document[int(last) if last.isdecimal() else last] = value

    return spoil


def drop(path: str) -> Spoil:
    """Return a change that removes the field at this path, with slashes."""

    def spoil(document: Any) -> None:
        *parents, last = path.split("/")
        for parent in parents:
            document = document[int(parent) if parent.isdecimal() else parent]
        del document[last]

    return spoil


HOSTILE: list[tuple[Spoil, str, str]] = [
    (put("extra", 1), "$", "extra"),
    (put("input/extra", 1), "$.input", "extra"),
    (drop("licence"), "$", "licence"),
    (drop("output/grid"), "$.output", "grid"),
    (put("name", "../etc"), "$.name", "'../etc'"),
    (put("name", "Toy"), "$.name", "'Toy'"),
    (put("name", "toy\n"), "$.name", "'toy\\n'"),
    (put("name", "x" * 65), "$.name", "xxx"),
    (put("version", 0), "$.version", "0"),
    (put("version", 1.5), "$.version", "1.5"),
    (put("version", True), "$.version", "True"),
    (put("files/other.xml", {"sha256": "0" * 64, "size_bytes": 1}), "$.files", "other.xml"),
    (drop("files/graph.bin"), "$.files", "graph.bin"),
    (put("files/graph.xml/sha256", "0" * 63), "$.files.graph.xml.sha256", "000"),
    (put("files/graph.xml/sha256", "A" * 64), "$.files.graph.xml.sha256", "AAA"),
    (put("files/graph.xml/sha256", "0" * 64 + "\n"), "$.files.graph.xml.sha256", "000"),
    (put("files/graph.bin/size_bytes", -1), "$.files.graph.bin.size_bytes", "-1"),
    (put("input/shape", [1, 15, 64, 3]), "$.input.shape[1]", "15"),
    (put("input/shape", [1, 5000, 64, 3]), "$.input.shape[1]", "5000"),
    (put("input/shape", [2, 64, 64, 3]), "$.input.shape[0]", "2"),
    (put("input/shape", [1, 64, 64, 4]), "$.input.shape[3]", "4"),
    (put("input/shape", [1, 64, 64]), "$.input.shape", "[1, 64, 64]"),
    (put("input/dtype", "f32"), "$.input.dtype", "'f32'"),
    (put("input/colour", "YUV"), "$.input.colour", "'YUV'"),
    (put("input/name", ""), "$.input.name", "''"),
    (put("output/shape", [1, 0, 4, 1]), "$.output.shape[1]", "0"),
    (put("output/meaning", "logits"), "$.output.meaning", "'logits'"),
    (put("output/grid/step_y", 0), "$.output.grid.step_y", "0"),
    (put("output/grid/step_x", 1e9), "$.output.grid.step_x", "1000000000.0"),
    (put("output/grid/offset_x", -5000), "$.output.grid.offset_x", "-5000"),
    (put("output/grid/offset_x", "0"), "$.output.grid.offset_x", "'0'"),
    (put("resize/rule", "crop"), "$.resize.rule", "'crop'"),
    (put("resize/fill", [0, 0, 256]), "$.resize.fill[2]", "256"),
    (put("recipe/digest", "x" * 64), "$.recipe.digest", "xxx"),
    (put("recipe/steps/0/revision", "1"), "$.recipe.steps[0].revision", "'1'"),
    (put("recipe/toolchain", []), "$.recipe.toolchain", "[]"),
    (put("configuration/device", "CPU; rm"), "$.configuration.device", "'CPU; rm'"),
    (put("configuration/precision", "int8"), "$.configuration.precision", "'int8'"),
    (put("configuration/threads", 10**6), "$.configuration.threads", "1000000"),
    (put("measurements/0/low", 3), "$.measurements[0]", "low <= value <= high"),
    (put("measurements/0/host/features", "avx2"), "$.measurements[0].host.features", "'avx2'"),
    (put("licence", ""), "$.licence", "''"),
    (put("licence", "MIT\r\nX: y"), "$.licence", "MIT"),
    (put("created", "2026-13-01T00:00:00Z"), "$.created", "2026-13-01"),
    (put("created", "2026-01-01"), "$.created", "'2026-01-01'"),
    (put("created", "2026-01-01T00:00:00+00:00"), "$.created", "+00:00"),
]


@pytest.mark.parametrize(("spoil", "field", "says"), HOSTILE)
def test_an_invalid_field_is_refused_with_its_path_and_the_received_value(spoil: Spoil, field: str, says: str) -> None:
    document = old_manifest(Toy())
    spoil(document)
    refuse(document, field, says)


def refuse(document: dict[str, Any], field: str, says: str) -> None:
    """Such a manifest isn't read, and the message names the file, the field and the value received."""
    with pytest.raises(ManifestError) as refused:
        parse(text(document), "models/toy/1/manifest.json")
    assert refused.value.field == field, refused.value
    assert says in str(refused.value)
    assert str(refused.value).startswith("models/toy/1/manifest.json: ")


BATCH = "configuration/batch"
WRONG_PORTS: list[tuple[str, Spoil, str, str]] = [
    ("regions", put("contract", 3), "$.contract", "3"),
    ("regions", put("contract", "2"), "$.contract", "'2'"),
    ("regions", put("contract", 1), "$", "input"),
    ("regions", put("inputs", []), "$.inputs", "[]"),
    ("regions", put("outputs", []), "$.outputs", "[]"),
    ("regions", put("inputs/0/kind", "sound"), "$.inputs[0].kind", "'sound'"),
    ("regions", put("inputs/0/dtype", "f16"), "$.inputs[0].dtype", "'f16'"),
    ("regions", put("inputs/0/layout", "NCHW"), "$.inputs[0]", "1, 3, H, W"),
    ("regions", put("inputs/0/shape/1", 8), "$.inputs[0]", "16 to 4096"),
    ("regions", put("inputs/0/shape/1", 2**30), "$.inputs[0].shape[1]", str(2**30)),
    ("regions", put("inputs/0/shape/1", {"min": 64, "max": 32, "step": 1}), "$.inputs[0].shape[1]", "max"),
    ("regions", put("inputs/0/shape/1", {"min": 32, "max": 65, "step": 32}), "$.inputs[0].shape[1]", "steps"),
    ("regions", put("inputs/0/shape/1", {"min": 32, "max": 8192, "step": 32}), "$.inputs[0]", "16 to 4096"),
    ("regions", put("inputs/0/resize/rule", "letterbox"), "$.inputs[0]", "letterbox"),
    ("regions", put("inputs/0/resize/fill", [0, 0, 256]), "$.inputs[0].resize.fill[2]", "256"),
    ("regions", put("outputs/0/meaning", "logits"), "$.outputs[0].meaning", "'logits'"),
    ("regions", drop("outputs/0/grid"), "$.outputs[0]", "grid"),
    ("regions", put("outputs/0/grid/step_y", 0), "$.outputs[0].grid.step_y", "0"),
    ("regions", put("outputs/0/channels", []), "$.outputs[0].channels", "[]"),
    ("regions", put("outputs/0/channels/0/region", "../x"), "$.outputs[0].channels[0].region", "'../x'"),
    ("regions", put("outputs/0/channels/0/threshold", 1.5), "$.outputs[0].channels[0].threshold", "1.5"),
    ("regions", put("outputs/0/channels/1/region", "text"), "$.outputs[0]", "twice"),
    ("regions", put("outputs/0/layout", "NHW"), "$.outputs[0]", "NHW with 2 channels"),
    ("regions", put("outputs/0/dtype", "u8"), "$.outputs[0].dtype", "'u8'"),
    ("regions", put("outputs/0/name", "picture"), "$", "'picture' twice"),
    ("scores", put("outputs/0/labels", ["cat"]), "$.outputs[0]", "3 labels or none"),
    ("scores", put("outputs/0/labels/1", 7), "$.outputs[0].labels[1]", "7"),
    ("scores", put("outputs/0/shape", []), "$.outputs[0]", "classes last"),
    ("scores", put("outputs/0/dtype", "string"), "$.outputs[0].dtype", "'string'"),
    ("scores", put(BATCH, 65), "$.configuration.batch", "65"),
    ("boxes", put("outputs/0/columns/3", "x1"), "$.outputs[0]", "x1, y1, x2, y2"),
    ("boxes", put("outputs/0/columns/3", "depth"), "$.outputs[0].columns[3]", "'depth'"),
    ("boxes", put("outputs/0/units", "miles"), "$.outputs[0].units", "'miles'"),
    ("boxes", put("outputs/0/shape/2", 5), "$.outputs[0]", "rows of 4"),
    ("boxes", put("outputs/0/scores", "nowhere"), "$", "'nowhere'"),
    ("boxes", put("outputs/0/classes", "boxes"), "$", "'boxes'"),
    ("boxes", put(BATCH, 2), "$", "batches of 2"),
    ("score", put("outputs/0/shape", [1, 2]), "$.outputs[0]", "one number"),
    ("score", put("outputs/0/shape", [{"min": 1, "max": 2, "step": 1}]), "$.outputs[0]", "one number"),
    ("score", put("outputs/0/unit", 5), "$.outputs[0].unit", "5"),
    ("tensor", put("outputs/0/shape", [1] * 9), "$.outputs[0].shape", "[1, 1"),
    ("tensor", put("outputs/0/shape/1", -1), "$.outputs[0].shape[1]", "-1"),
    ("tensor", put("outputs/0/extra", 1), "$.outputs[0]", "extra"),
    ("tensor", put("inputs/1/name", "sound"), "$", "'sound' twice"),
    ("tensor", put("inputs", [{"kind": "tensor", "name": "x", "shape": [], "dtype": "f32"}] * 65), "$.inputs", "[{"),
]


@pytest.mark.parametrize(("meaning", "spoil", "field", "says"), WRONG_PORTS)
def test_an_invalid_port_is_refused_with_its_path_and_the_received_value(
    meaning: str, spoil: Spoil, field: str, says: str
) -> None:
    document = describe_ports(meaning)
    spoil(document)
    refuse(document, field, says)


@pytest.mark.parametrize("meaning", MEANINGS)
@pytest.mark.parametrize(
    "wrong", [None, "x", True, 1e300, [], {}, [[1]], "x" * 2000], ids=lambda value: repr(value)[:9]
)
def test_every_field_of_a_port_is_validated(meaning: str, wrong: object) -> None:
    good = describe_ports(meaning)
    passed = []
    for section in ("inputs", "outputs"):
        for number, port in enumerate(good[section]):
            for field in port:
                document = describe_ports(meaning)
                document[section][number][field] = wrong
                try:
                    parse(text(document))
                except ManifestError:
                    continue
                passed.append((section, number, field))
    # names, units and labels are free text and lists; a scalar has no sides
    free = {"x": {"name", "unit"}, "[]": {"labels", "shape"}}.get(wrong if wrong == "x" else repr(wrong), set())
    assert [place for place in passed if place[2] not in free] == []


GOOD = text(old_manifest(Toy()))
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "well-formed JSON"),
    "a list": (b"[]", "object"),
    "NaN": (GOOD.replace(b'"value": 2', b'"value": NaN'), "well-formed JSON"),
    "infinity": (GOOD.replace(b'"value": 2', b'"value": 1e999'), "range"),
    "a number without end": (GOOD.replace(b'"value": 2', b'"value": ' + b"9" * 9999), "JSON"),
    "a key twice": (GOOD.replace(b'"contract": 1', b'"contract": 1, "contract": 1'), "'contract'"),
    "a key twice, deep": (GOOD.replace(b'"outputs"', b'"outputs": 1, "outputs"'), "'outputs'"),
    "nesting": (GOOD.replace(b'["person"]', b"[" * 100_000), "JSON"),
    "no UTF-8": (GOOD.replace(b"toy", b"t\xffy"), "UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "JSON"),
    "half a surrogate": (GOOD.replace(b'"x"', b'"\\ud800"'), "JSON"),
    "something behind": (GOOD + b"{}", "JSON"),
    "too long": (GOOD + b" " * MANIFEST_LIMIT_BYTES, "at most"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_malformed_json_is_refused(kind: str) -> None:
    data, says = BROKEN[kind]
    with pytest.raises(ManifestError, match=says):
        parse(data)


def test_an_error_message_shortens_long_values() -> None:
    document = manifest(Toy())
    document["name"] = "x" * 100_000
    with pytest.raises(ManifestError) as refused:
        parse(text(document))
    assert len(str(refused.value)) < 400
