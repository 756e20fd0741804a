"""What is tried at which effort."""

import itertools
from pathlib import Path

import pytest

from danmatte.contract.cores import count_cores
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment import search
from danmatte_workbench.experiment.estimate import SURE
from danmatte_workbench.experiment.search import Plan, Wish
from danmatte_workbench.recipe import RECIPES, read
from danmatte_workbench.runtimes import openvino


@pytest.mark.parametrize("effort", search.EFFORTS)
def test_every_plan_is_a_recipe_that_exists_in_a_precision_that_this_machine_has(effort: str) -> None:
    for plan in search.plan(effort).plans:
        assert read(RECIPES / f"{plan.recipe}.toml").steps
        assert plan.configuration.precision in openvino.list_precisions()
        assert plan.configuration.threads == count_cores()


@pytest.mark.parametrize("effort", search.EFFORTS)
def test_both_objectives_have_a_plan(effort: str) -> None:
    assert {plan.configuration.hint for plan in search.plan(effort).plans} == {"latency", "throughput"}


def test_names_of_plans_are_unique() -> None:
    names = [plan.name for plan in search.plan("thorough").plans]
    assert len(set(names)) == len(names)


def test_more_effort_is_more_of_everything() -> None:
    quick, standard, thorough = (search.plan(effort) for effort in search.EFFORTS)
    for less, more in ((quick, standard), (standard, thorough)):
        assert len(less.plans) <= len(more.plans)
        for field in ("calibration", "frames", "rounds", "round_s", "limit_s", "finalists", "sweep_s"):
            assert getattr(less, field) < getattr(more, field)


def test_the_objectives_own_configuration_is_tried_first() -> None:
    for objective in ("throughput", "latency"):
        plans = search.plan("quick", Wish(objective=objective)).plans
        assert [plan.configuration.hint for plan in plans[:2]] == [objective, objective]


@pytest.mark.parametrize("effort", search.EFFORTS)
@pytest.mark.parametrize(
    ("wish", "safe"),
    [
        (Wish(), "float"),
        (Wish(objective="latency", size=(289, 513)), "float"),
        (Wish(meaning="tensors"), "uncut"),
        (Wish(recipes=("int8", "float")), "float"),
    ],
)
def test_what_is_tried_however_little_time_there_is_holds_a_safe_plan_and_a_promising_one(
    effort: str, wish: Wish, safe: str
) -> None:
    first, second = search.plan(effort, wish).plans[:SURE]
    assert (first.recipe, first.size, first.configuration.precision) == (safe, None, "f32")
    assert second.recipe.startswith(("int8", "uncut-int8"))


def test_a_wish_for_other_recipes_is_heeded() -> None:
    assert {plan.recipe for plan in search.plan("quick", Wish(recipes=("int8",))).plans} == {"int8"}


def test_the_baselines_recipes_are_tried_only_where_nothing_is_cut() -> None:
    masks = {plan.recipe for plan in search.plan("thorough").plans}
    tensors = {plan.recipe for plan in search.plan("thorough", Wish(meaning="tensors")).plans}
    assert not masks & set(search.BASELINES)
    assert tensors >= set(search.BASELINES)
    assert not tensors & {"int8", "float", "int8-stride16"}


def test_recipes_are_found_by_pattern_once_each_and_what_is_absent_is_left_out(tmp_path: Path) -> None:
    for name in ("int8", "int8-distilled25", "int8-distilled50", "float", "uncut-int8"):
        (tmp_path / f"{name}.toml").touch()
    patterns = ("int8-stride16", "int8", "int8-distilled*", "int8*", "*")
    assert search.recipes(patterns, tmp_path) == ("int8", "int8-distilled25", "int8-distilled50", "float")


def test_a_size_is_tried_first_and_the_sources_own_as_well() -> None:
    plans = search.plan("quick", Wish(size=(289, 513))).plans
    sizes = [plan.size for plan in plans]
    safe, there = 1, sizes.count((289, 513))
    assert sizes == [None] * safe + [(289, 513)] * there + [None] * (len(plans) - safe - there)
    assert {plan.cooked.split()[0] for plan in plans if plan.size} == {"int8-stride16", "int8", "float"}
    assert plans[safe].name.startswith(f"{plans[safe].recipe} 289x513 throughput")


def test_a_recipe_is_brought_to_its_size_just_before_it_is_quantized() -> None:
    plan = Plan("int8", configure(), (289, 513))
    kinds = [kind for kind, _ in plan.draft().steps]
    assert kinds == ["cut", "head", "preprocess", "reshape", "quantize"]
    assert plan.draft().steps[3] == ("reshape", {"height": 289, "width": 513})
    assert [kind for kind, _ in Plan("float", configure(), (289, 513)).draft().steps][-1] == "reshape"


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("512x288", (513, 513), (288, 512)),
        ("16:9", (513, 513), (289, 513)),
        ("16:9", (256, 256), (144, 256)),
        ("9:16", (513, 513), (513, 289)),
        ("4:3", (513, 513), (385, 513)),
    ],
)
def test_a_ratio_keeps_the_longer_side_and_the_grid_it_lies_on(
    text: str, source: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert search.size_of(text, source) == expected


@pytest.mark.parametrize("text", ["16/9", "wide", "0:9", "16:0", "288x", "-1x5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--size: expected WIDTHxHEIGHT or a ratio such as 16:9, received {text}"):
        search.size_of(text, (513, 513))


def test_another_device_chooses_its_own_streams() -> None:
    for plan in search.plan("quick", Wish(device="AUTO")).plans:
        assert (plan.configuration.streams, plan.configuration.threads) == (0, 0)
        assert plan.configuration.device == "AUTO"


def test_an_unknown_effort_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"quick, standard, thorough, received standart; did you mean 'standard'\?"):
        search.plan("standart")


def test_every_recipe_is_tried_in_one_precision_before_any_is_in_another() -> None:
    _, *plans = search.plan("standard").plans  # without the safe one
    precisions = [plan.configuration.precision for plan in plans]
    changes = sum(a != b for a, b in itertools.pairwise(precisions))
    assert changes == len(set(precisions)) - 1


def test_a_recipe_with_a_size_of_its_own_is_brought_to_no_other() -> None:
    for plan in search.plan("thorough", Wish(size=(289, 513))).plans:
        assert len({"reshape", "shrink"} & {kind for kind, _ in plan.draft().steps}) <= 1
