"""Steps from recipes: strict, and filled from the source."""

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.source import Source
from danmatte_workbench.steps import make_step
from tests.workbench import tiny
from tests.workbench.conftest import Describe


def test_fields_that_a_recipe_leaves_out_come_from_the_source(describe: Describe) -> None:
    source = describe(tiny.BGR)
    step = make_step("preprocess", {}, source)
    assert step.fields == {"colour": "BGR", "mean": source.mean, "scale": source.scale, "pixels": "RGB"}


def test_fields_that_a_recipe_gives_win(plain: Source) -> None:
    assert make_step("cut", {"output": "logits/semantic/BiasAdd"}, plain).fields["output"].startswith("logits")


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
