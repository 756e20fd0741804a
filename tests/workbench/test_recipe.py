"""Recipes: strict TOML, and a digest over everything that affects the result."""

from dataclasses import replace
from pathlib import Path

import pytest

from danmatte_workbench import recipe as recipes
from danmatte_workbench.errors import InputError
from danmatte_workbench.recipe import EFFORTS, RECIPES, build_recipe, find_recipe, read_recipe, read_recipes
from danmatte_workbench.source import Source, StudentGraph
from danmatte_workbench.steps import Cut, Head, Quantize, Reshape, StepContext
from tests.workbench import tiny
from tests.workbench.conftest import Describe
from tests.workbench.facts import CUT, HEAD, recipe

GOOD = """
name = "mine"
about = "a trial"
meaning = "person"
effort = "quick"
priority = 5
[[step]]
kind = "quantize"
preset = "mixed"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "whatever.toml"


def test_a_recipe_is_read_as_it_was_written(file: Path, plain: Source) -> None:
    file.write_text(GOOD)
    found = read_recipe(file, plain)
    assert (found.name, found.about, found.meaning, found.effort) == ("mine", "a trial", "person", "quick")
    assert (found.priority, found.exact, found.baseline, found.source) == (5, False, "", plain.digest)
    assert found.steps == (Quantize(preset="mixed"),)


def test_a_recipe_applies_to_its_instruction_sets_or_to_all(file: Path, plain: Source) -> None:
    file.write_text(GOOD)
    assert read_recipe(file, plain).suits(["AVX512_CORE_VNNI"])
    file.write_text(GOOD.replace("priority = 5", 'priority = 5\ninstruction_sets = ["AVX2", "AVX512_CORE"]'))
    found = read_recipe(file, plain)
    assert found.suits(["AVX512_CORE", "AVX512_CORE_VNNI"])
    assert not found.suits(["AVX512_CORE_VNNI"])
    assert found.suits([])  # a machine that has none of them


def test_the_example_recipe_of_the_guide_is_valid(file: Path, plain: Source) -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/workbench.md").read_text("utf-8")
    file.write_text(guide.partition("```toml\n")[2].partition("```")[0])
    found = read_recipe(file, plain)
    assert [step.kind for step in found.steps] == ["cut", "head", "preprocess", "prune", "shrink", "quantize"]


def test_missing_fields_of_a_step_are_taken_from_the_source(file: Path, describe: Describe) -> None:
    file.write_text(GOOD.replace('kind = "quantize"\npreset = "mixed"', 'kind = "cut"\n[[step]]\nkind = "head"'))
    for wanted in (tiny.PLAIN, tiny.VOC):
        source = describe(wanted)
        assert read_recipe(file, source).steps == (
            Cut(source.port, source.node, source.shape),
            Head(source.person),
        )


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_bundled_recipe_has_a_description_and_a_known_effort(path: Path, plain: Source) -> None:
    found = read_recipe(path, plain)
    assert found.about.endswith(".")
    assert found.effort in EFFORTS


def test_bundled_recipes_differ_in_digest_and_priority(plain: Source) -> None:
    found = read_recipes(plain)
    assert len({item.digest for item in found}) == len(found)
    assert len({item.priority for item in found}) == len(found)


WRONG = {
    "nmae = 'x'\n" + GOOD: ["unknown key nmae in the top", "did you mean 'name'?"],
    "zzz = 1\n" + GOOD: [
        "unknown key zzz",
        "known: about, baseline, effort, exact, instruction_sets, meaning, name, priority, step",
    ],
    GOOD.replace('about = "a trial"\n', ""): ["the top lacks about"],
    GOOD.replace("priority = 5\n", ""): ["the top lacks priority"],
    GOOD.replace("priority = 5", 'priority = "high"'): ["priority: expected int, found 'high'"],
    GOOD.replace("priority = 5", "priority = true"): ["priority: expected int, found True"],
    GOOD.replace("priority = 5", "priority = 5\nexact = 1"): ["exact: expected bool, found 1"],
    GOOD.replace("priority = 5", 'priority = 5\ninstruction_sets = "AVX2"'): ["expected list, found 'AVX2'"],
    GOOD.replace("priority = 5", 'priority = 5\ninstruction_sets = ["AVX3"]'): ["received AVX3; did you mean 'AVX2'?"],
    GOOD.replace('"person"', '"masks"'): ["meaning: expected one of person, tensors, found 'masks'"],
    GOOD.replace('"quick"', '"quickly"'): ["effort: expected one of quick, standard, thorough, found 'quickly'"],
    GOOD.replace('kind = "quantize"\n', ""): ["expected [[step]] tables, each with a kind"],
    GOOD.replace("[[step]]", "[step]"): ["expected [[step]] tables"],
    GOOD.split("[[step]]")[0]: ["the top lacks step"],
    GOOD.split("[[step]]")[0] + 'step = ["cut"]\n': ["expected [[step]] tables"],
    GOOD.split("[[step]]")[0] + "step = []\n": ["recipe mine has no steps"],
    GOOD.replace("preset", "presets"): ["unknown field presets; did you mean 'preset'?"],
    GOOD.replace('"quantize"', '"quantise"'): ["unknown step quantise; did you mean 'quantize'?"],
    "name = \n": ["isn't TOML"],
}


@pytest.mark.parametrize("text", WRONG)
def test_an_invalid_recipe_is_reported_with_file_place_and_nearest_word(file: Path, plain: Source, text: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read_recipe(file, plain)
    for part in (str(file), *WRONG[text]):
        assert part in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(file: Path, plain: Source) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="isn't TOML"):
        read_recipe(file, plain)


def test_a_missing_file_is_reported(file: Path, plain: Source) -> None:
    with pytest.raises(InputError, match=r"whatever\.toml: can't be read"):
        read_recipe(file, plain)


def test_recipes_of_a_folder_are_ordered_by_priority_and_name(tmp_path: Path, plain: Source) -> None:
    for file, name, priority in (("z", "best", 9), ("a", "worst", 1), ("m", "good", 5), ("b", "also-good", 5)):
        text = GOOD.replace('"mine"', f'"{name}"').replace("= 5", f"= {priority}")
        (tmp_path / f"{file}.toml").write_text(text)
    assert [item.name for item in read_recipes(plain, tmp_path)] == ["best", "also-good", "good", "worst"]
    assert find_recipe("good", plain, tmp_path).priority == 5


def test_recipes_for_a_student_are_only_listed_for_sources_with_one(plain: Source) -> None:
    student = {"int8-student", "int8-student-safe", "float-student"}
    assert not student & {item.name for item in read_recipes(plain)}
    pair = replace(plain, student=StudentGraph(plain.path, plain.digest, (49, 49)))
    found = {item.name: item for item in read_recipes(pair)}
    assert student <= found.keys()
    assert found["int8-student"].has_own_size
    other = replace(pair, student=replace(pair.student, digest="other"))
    assert find_recipe("int8-student", other).digest != found["int8-student"].digest


def test_two_recipes_with_the_same_name_are_refused(tmp_path: Path, plain: Source) -> None:
    for file in ("a", "b"):
        (tmp_path / f"{file}.toml").write_text(GOOD)
    with pytest.raises(InputError, match=r"b\.toml: another recipe in the folder has the same name, mine"):
        read_recipes(plain, tmp_path)


@pytest.mark.parametrize(
    ("name", "says"), [("int9", r"did you mean 'int8'\?"), ("zzz", "known: float, float-pruned30, ")]
)
def test_an_unknown_recipe_is_reported_with_the_nearest_name(plain: Source, name: str, says: str) -> None:
    with pytest.raises(InputError, match=f"no recipe is called {name}; {says}"):
        find_recipe(name, plain)


CHANGES = {
    "source": {"source": "b" * 64},
    "a field": {"steps": (CUT, Head(2))},
    "the order": {"steps": (HEAD, CUT)},
    "a step less": {"steps": (CUT,)},
    "a library": {"steps": (CUT, HEAD, Quantize())},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_the_source_and_the_steps(change: str) -> None:
    assert recipe(**CHANGES[change]).digest != recipe().digest


def test_the_digest_changes_with_the_revision_of_a_steps_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe().digest
    monkeypatch.setattr(Head, "revision", Head.revision + 1)
    assert recipe().digest != before


def test_the_digest_changes_with_a_librarys_version(monkeypatch: pytest.MonkeyPatch) -> None:
    before = recipe().digest
    monkeypatch.setattr(recipes, "_version", lambda library: "1.1")
    assert recipe().toolchain == {"openvino": "1.1"}
    assert recipe().digest != before


@pytest.mark.parametrize(
    "changes", [{"name": "another"}, {"about": "more"}, {"priority": 9}, {"effort": "thorough"}, {"exact": True}]
)
def test_the_digest_does_not_depend_on_descriptive_fields(changes: dict[str, object]) -> None:
    assert recipe(**changes).digest == recipe().digest


def test_the_digest_of_a_given_recipe_never_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise all stored candidates would have to be built again."""
    monkeypatch.setattr(recipes, "_version", lambda library: "1.0")
    assert recipe().digest == "92c00c82eeeb90134ab488e0fbeb4500d606851aeb6b1e261458e4723c23ee32"


def test_the_toolchain_lists_the_libraries_that_the_steps_use(plain: Source) -> None:
    assert set(find_recipe("float", plain).toolchain) == {"openvino"}
    assert set(find_recipe("int8", plain).toolchain) == {"openvino", "nncf"}


def test_resizing_adds_a_reshape_step_before_quantize_or_at_the_end(plain: Source) -> None:
    quantized, whole = (find_recipe(name, plain).resize((289, 513)) for name in ("int8", "float"))
    assert [step.kind for step in quantized.steps] == ["cut", "head", "preprocess", "reshape", "quantize"]
    assert whole.steps[-1] == Reshape(289, 513)
    assert (quantized.name, whole.name) == ("int8 513x289", "float 513x289")


def test_the_properties_of_a_recipe_follow_from_its_steps(plain: Source) -> None:
    whole, shrunk, uncut = (find_recipe(name, plain) for name in ("float", "int8-shrunk", "uncut-int8"))
    assert [(item.is_whole, item.is_quantized, item.has_own_size) for item in (whole, shrunk, uncut)] == [
        (False, False, False),
        (False, True, True),
        (True, True, False),
    ]
    assert (whole.frames, uncut.frames) == (0, 300)


def test_the_beginnings_of_a_recipe_grow_by_one_step_each() -> None:
    found = replace(recipe(), steps=(CUT, HEAD, Quantize())).list_beginnings()
    assert [item.steps for item in found] == [(CUT,), (CUT, HEAD), (CUT, HEAD, Quantize())]


def test_quantizing_a_graph_with_float_input_is_refused(plain: Source, labelled, tmp_path: Path) -> None:
    rash = recipe(steps=(Cut(plain.port, plain.node, plain.shape), Quantize()))
    with pytest.raises(InputError, match="put preprocess before it"):
        build_recipe(rash, StepContext(plain, labelled), tmp_path / "graph.xml")


@pytest.mark.parametrize(("kind", "fits"), [("tflite", True), ("onnx", True), ("frozen", False), ("keras", False)])
def test_recoding_applies_only_to_formats_that_store_bytes(plain: Source, kind: str, fits: bool) -> None:
    recoded, other = find_recipe("own-int8", plain), find_recipe("int8", plain)
    source = replace(plain, format=kind)
    assert (recoded.fits(source), other.fits(source)) == (fits, True)
