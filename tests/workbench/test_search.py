"""What is tried at which effort."""

import pytest

from workbench import search
from workbench.backends import openvino
from workbench.errors import InputError
from workbench.hardware import usable_cores
from workbench.recipe import RECIPES, read


@pytest.mark.parametrize("effort", search.EFFORTS)
def test_every_plan_is_a_recipe_that_exists_in_a_precision_that_this_machine_has(effort: str) -> None:
    for plan in search.plan(effort).plans:
        assert read(RECIPES / f"{plan.recipe}.toml").steps
        assert plan.configuration.precision in openvino.precisions()
        assert plan.configuration.threads == usable_cores()


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
        for field in ("calibration", "frames", "rounds", "round_s"):
            assert getattr(less, field) < getattr(more, field)


def test_an_unknown_effort_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="expected one of quick, standard, thorough, received some"):
        search.plan("some")
