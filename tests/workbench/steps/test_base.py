"""Steps from recipes: strict, and filled from the source."""

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.recipe import RECIPES, Draft, read
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext, refine
from danmatte_workbench.steps.base import build, make_step
from tests.workbench import tiny
from tests.workbench.conftest import Describe


def test_fields_that_a_recipe_leaves_out_come_from_the_source(describe: Describe) -> None:
    source = describe(tiny.BGR)
    step = make_step("preprocess", {}, source)
    assert step.spec.fields == {"colour": "BGR", "mean": source.mean, "scale": source.scale, "pixels": "RGB"}


def test_fields_that_a_recipe_gives_win(plain: Source) -> None:
    assert make_step("cut", {"output": "logits/semantic/BiasAdd"}, plain).spec.fields["output"].startswith("logits")


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("quantise", {}, r"unknown step quantise; did you mean 'quantize'\?"),
        ("quantize", {"presets": "mixed"}, r"step quantize: unknown field presets; did you mean 'preset'\?"),
        ("quantize", {"preset": "fast"}, "preset: expected performance or mixed, found 'fast'"),
        ("zzz", {}, "unknown step zzz; known: "),
    ],
)
def test_an_unknown_word_names_the_nearest(plain: Source, kind: str, fields: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        make_step(kind, fields, plain)


def test_a_recipes_digest_covers_what_the_source_filled_in(describe: Describe) -> None:
    draft = read(RECIPES / "float.toml")
    digests = {refine(draft, describe(wanted)).digest for wanted in (tiny.PLAIN, tiny.BGR, tiny.VOC)}
    assert len(digests) == 3


def test_the_toolchain_names_the_libraries_that_matter(plain: Source) -> None:
    assert set(refine(read(RECIPES / "float.toml"), plain).toolchain) == {"openvino"}
    assert set(refine(read(RECIPES / "int8.toml"), plain).toolchain) == {"openvino", "nncf"}


def test_a_recipe_without_steps_is_refused(plain: Source, labelled, tmp_path) -> None:
    with pytest.raises(InputError, match="recipe idle has no steps"):
        build(refine(Draft("idle", "", ()), plain), StepContext(plain, labelled), tmp_path / "graph.xml")


def test_quantizing_a_graph_of_floats_is_refused(plain: Source, labelled, tmp_path) -> None:
    draft = Draft("rash", "", (("cut", {}), ("quantize", {})))
    with pytest.raises(InputError, match="put preprocess before it"):
        build(refine(draft, plain), StepContext(plain, labelled), tmp_path / "graph.xml")
