"""Steps from recipes: strict fields, and fields filled from the source."""

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.source import Source
from danmatte_workbench.steps import make_step
from tests.workbench import tiny
from tests.workbench.conftest import Describe


def test_missing_fields_of_a_step_are_taken_from_the_source(describe: Describe) -> None:
    source = describe(tiny.BGR)
    step = make_step("preprocess", {}, source)
    assert step.fields == {"colour": "BGR", "mean": source.mean, "scale": source.scale, "pixels": "RGB"}


def test_fields_of_a_recipe_override_those_of_the_source(plain: Source) -> None:
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
def test_an_unknown_step_or_field_is_reported_with_the_nearest(
    plain: Source, kind: str, fields: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        make_step(kind, fields, plain)


@pytest.mark.parametrize(
    ("kind", "fields", "says"),
    [
        ("shrink", {}, "step shrink: lacks share"),
        ("reshape", {"height": 64}, "step reshape: lacks width"),
        ("prune", {"share": "0.2"}, "prune: share: expected a number, found '0.2'"),
        ("shrink", {"share": [0.5]}, "shrink: share: expected a number, found (0.5,)"),
        ("prune", {"share": 0.2, "frames": 0}, "prune: frames: expected a whole number of at least 1, found 0"),
        ("distil", {"seed": "one"}, "distil: seed: expected a whole number, found 'one'"),
        ("distil", {"features": "many"}, "distil: features: expected a number, found 'many'"),
        ("head", {"person": True}, "head: person: expected a whole number, found True"),
        ("cut", {"output": 3}, "cut: output: expected text, found 3"),
        ("convert", {"normalised": "no"}, "convert: normalised: expected true or false, found 'no'"),
        ("convert", {"answers": [1]}, "convert: answers: expected text"),
        ("preprocess", {"mean": 3}, "preprocess: mean: expected a list, found 3"),
        ("quantize", {"frames": "all"}, "quantize: frames: expected a whole number above 0, found 'all'"),
    ],
)
def test_a_missing_or_mistyped_field_is_reported(
    plain: Source, kind: str, fields: dict[str, object], says: str
) -> None:
    with pytest.raises(InputError) as refused:
        make_step(kind, fields, plain)
    assert str(refused.value).startswith(says)


def test_integers_are_accepted_for_number_fields(plain: Source) -> None:
    assert make_step("soften", {"sharpness": 1}, plain).fields == {"sharpness": 1}
