"""Recipes: strict TOML, and a digest over everything that matters."""

from pathlib import Path

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.recipe import RECIPES, StepSpec, read
from tests.workbench.facts import recipe

GOOD = 'name = "mine"\nabout = "a trial"\n[[step]]\nkind = "quantize"\npreset = "mixed"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


def test_a_recipe_is_read_as_it_was_written(file: Path) -> None:
    file.write_text(GOOD)
    draft = read(file)
    assert (draft.name, draft.about, draft.steps) == ("mine", "a trial", (("quantize", {"preset": "mixed"}),))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_a_bundled_recipe_bears_its_files_name(path: Path) -> None:
    assert read(path).name == path.stem


WRONG = {
    "nmae = 'x'\n" + GOOD: ["unknown key nmae in the top", "did you mean 'name'?"],
    "zzz = 1\n" + GOOD: ["unknown key zzz", "known: about, name, step"],
    GOOD.replace('about = "a trial"\n', ""): ["the top lacks about"],
    GOOD.replace('kind = "quantize"\n', ""): ["expected [[step]] tables, each with its kind"],
    GOOD.replace("[[step]]", "[step]"): ["expected [[step]] tables"],
    'name = "a"\nabout = "b"\nstep = ["cut"]\n': ["expected [[step]] tables"],
    "name = \n": ["isn't TOML"],
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_recipe_names_the_file_the_place_and_the_nearest_word(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read(file)
    for part in (str(file), *WRONG[text]):
        assert part in str(refused.value)


def test_what_is_no_text_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="isn't TOML"):
        read(file)


def test_a_missing_file_is_named(file: Path) -> None:
    with pytest.raises(InputError, match=r"mine\.toml: can't be read"):
        read(file)


CUT = StepSpec("cut", 1, {"output": "ArgMax"})
HEAD = StepSpec("head", 1, {"person": 1})
CHANGES = {
    "source": {"source": "b" * 64},
    "a field": {"steps": (CUT, StepSpec("head", 1, {"person": 2}))},
    "a revision": {"steps": (CUT, StepSpec("head", 2, {"person": 1}))},
    "a kind": {"steps": (CUT, StepSpec("tail", 1, {"person": 1}))},
    "the order": {"steps": (HEAD, CUT)},
    "a step less": {"steps": (CUT,)},
    "a version": {"toolchain": {"openvino": "1.1"}},
    "a library": {"toolchain": {"openvino": "1.0", "nncf": "1.0"}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_changes_with_whatever_matters(change: str) -> None:
    assert recipe(**CHANGES[change]).digest != recipe().digest


def test_the_digest_does_not_change_with_the_name() -> None:
    assert recipe(name="another").digest == recipe().digest


def test_the_digest_does_not_change_with_the_order_of_fields() -> None:
    first, second = {"a": 1, "b": (2, 3)}, {"b": [2, 3], "a": 1}
    digests = {recipe(steps=(StepSpec("cut", 1, fields),)).digest for fields in (first, second)}
    assert len(digests) == 1
