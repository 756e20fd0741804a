"""The trials of each effort, and their order."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from danmatte.contract.cores import count_cores
from danmatte_workbench import recipe as recipes
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment import search
from danmatte_workbench.experiment.schedule import MIN_TRIALS
from danmatte_workbench.experiment.search import LEVELS, SearchOptions, choose_recipes, propose_trials
from danmatte_workbench.experiment.trial import UNTRIED, Trial
from danmatte_workbench.recipe import EFFORTS, RECIPES, EffortName
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source

WIDE = (289, 513)
# The order from before recipes declared it themselves.
SAFE = [
    "int8-stride16-refined-safe",
    "int8-stride16-safe",
    "int8-shrunk-safe",
    "int8-safe",
]  # their 8-bit sums never saturate
QUICK = ["int8-stride16-refined", "int8-stride16", "int8-shrunk", "int8", "float"]
STANDARD = [
    "int8-stride16-refined-pruned30",
    "int8-stride16-refined",
    "int8-stride16",
    "int8-shrunk",
    "int8",
    "int8-stride16-shrunk-distilled40",
    "int8-pruned35-shrunk",
    "int8-pruned30",
    "int8-distilled45",
    "float",
    "int8-accurate",
    "int8-mixed",
    "int8-controlled",
]
THOROUGH = [*STANDARD[:8], "int8-fused-pruned40", *STANDARD[8:]]
KNOWN = {*THOROUGH, *SAFE, "uncut-int8", "uncut"}  # new recipes don't affect the order of these


@pytest.fixture
def tensors(plain: Source) -> Source:
    """A source whose output isn't a mask."""
    return replace(plain, meaning="tensors", answers=("a:0", "b:0"))


def propose(source: Source, effort: EffortName, **options: object) -> tuple[Trial, ...]:
    return propose_trials(source, LEVELS[effort], SearchOptions(**options))  # type: ignore[arg-type]


def choose_known(source: Source, effort: EffortName, patterns: Sequence[str] = ()) -> list[str]:
    """Return the names of the chosen recipes that are in `KNOWN`, in order."""
    return [recipe.name for recipe in choose_recipes(source, effort, patterns) if recipe.name in KNOWN]


def list_names(trials: Sequence[Trial]) -> list[str]:
    """Return the names of the recipes, each once, in order."""
    return list(dict.fromkeys(trial.recipe.name for trial in trials))


@pytest.mark.parametrize(
    ("effort", "expected"),
    [("quick", QUICK), ("standard", STANDARD), ("thorough", THOROUGH)],
)
def test_the_most_promising_recipes_come_first_and_slow_ones_only_at_higher_efforts(
    plain: Source, effort: EffortName, expected: list[str]
) -> None:
    assert [name for name in choose_known(plain, effort) if name not in SAFE] == expected


@pytest.mark.parametrize(
    ("levels", "tried"),
    [(("AVX2",), True), (("AVX512_CORE",), True), (("AVX2", "AVX512_CORE_AMX"), True), (("AVX512_CORE_VNNI",), False)],
)
def test_recipes_that_never_saturate_are_tried_if_a_target_lacks_vnni(
    plain: Source, levels: tuple[str, ...], tried: bool
) -> None:
    found = [recipe.name for recipe in choose_recipes(plain, "quick", (), levels)]
    assert [name in found for name in SAFE] == [tried] * len(SAFE)
    assert ("float-stride16-refined" in found) == tried
    assert choose_recipes(plain, "quick", ("int8-safe",), levels)  # named explicitly, it is tried on any CPU


def test_a_portable_target_includes_this_cpus_level_and_all_older_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "find_highest", lambda: "AVX512_CORE_VNNI")
    monkeypatch.setattr(search, "list_older", lambda: ("AVX2", "AVX512_CORE"))
    assert SearchOptions().levels == ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")
    assert SearchOptions(target="native").levels == ("AVX512_CORE_VNNI",)
    assert SearchOptions(device="GPU").levels == ()
    with pytest.raises(InputError, match=r"--for: expected native or portable, received natve; did you mean 'native'"):
        SearchOptions(target="natve")


@pytest.mark.parametrize("effort", EFFORTS)
def test_a_tensor_source_is_tried_with_uncut_recipes_only(tensors: Source, effort: EffortName) -> None:
    assert choose_known(tensors, effort) == ["uncut-int8", "uncut"]


@pytest.mark.parametrize("effort", EFFORTS)
def test_every_proposed_trial_is_untried_and_in_a_supported_precision(plain: Source, effort: EffortName) -> None:
    for trial in propose(plain, effort):
        assert trial.configuration.precision in openvino.list_precisions()
        assert trial.configuration.threads == count_cores()
        assert (trial.candidate, trial.measurements, trial.verdict) == (None, (), UNTRIED)


@pytest.mark.parametrize("effort", EFFORTS)
def test_trials_are_proposed_for_both_performance_hints(plain: Source, effort: EffortName) -> None:
    assert {trial.configuration.hint for trial in propose(plain, effort)} == {"latency", "throughput"}


def test_names_of_trials_are_unique(plain: Source) -> None:
    names = [trial.name for trial in propose(plain, "thorough", size=WIDE)]
    assert len(set(names)) == len(names)


def test_a_higher_effort_has_more_trials_frames_rounds_and_time(plain: Source) -> None:
    for less, more in itertools.pairwise(EFFORTS):
        assert len(propose(plain, less)) < len(propose(plain, more))
        for field in ("calibration", "frames", "rounds", "round_s", "limit_s", "finalists", "sweep_s"):
            assert getattr(LEVELS[less], field) < getattr(LEVELS[more], field)


@pytest.mark.parametrize("objective", ["throughput", "latency"])
def test_trials_with_the_hint_of_the_objective_come_first(plain: Source, objective: str) -> None:
    assert [trial.configuration.hint for trial in propose(plain, "quick", objective=objective)[:2]] == [objective] * 2


@pytest.mark.parametrize("effort", EFFORTS)
@pytest.mark.parametrize(
    "options", [{}, {"objective": "latency", "size": WIDE}, {"recipes": ("int8", "float")}], ids=["", "size", "recipes"]
)
def test_the_first_two_trials_are_a_safe_and_a_promising_one(
    plain: Source, effort: EffortName, options: dict[str, object]
) -> None:
    first, second = propose(plain, effort, **options)[:MIN_TRIALS]
    assert (first.recipe.name, first.canvas, first.configuration.precision) == ("float", plain.size, "f32")
    assert second.recipe.is_quantized


@pytest.mark.parametrize("effort", EFFORTS)
def test_the_first_two_trials_of_a_tensor_source_are_safe(tensors: Source, effort: EffortName) -> None:
    first, second = propose(tensors, effort)[:MIN_TRIALS]
    assert (first.recipe.name, second.recipe.name) == ("uncut", "whole-int8-safe")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (("int8",), ["int8"]),
        (("float", "int8"), ["float", "int8"]),
        (
            ("int8-shrunk", "int8-s*"),
            [
                "int8-shrunk",
                "int8-stride16-refined-pruned30",
                "int8-stride16-refined",
                "int8-stride16",
                "int8-stride16-shrunk-distilled40",
            ],
        ),
        (("int8-fused-pruned40",), ["int8-fused-pruned40"]),
        (("u*", "uncut"), ["uncut"]),
    ],
)
def test_requested_recipes_are_tried_in_the_given_order_at_any_effort(
    plain: Source, patterns: tuple[str, ...], expected: list[str]
) -> None:
    if patterns[0] == "u*":
        with pytest.raises(InputError, match=r"no recipe is called u\*"):
            choose_recipes(plain, "quick", patterns)
        patterns = patterns[1:]
    assert [name for name in choose_known(plain, "quick", patterns) if name not in SAFE] == expected


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("int9", r"no recipe is called int9; did you mean 'int8'\?"),
        ("zzz*", r"no recipe is called zzz\*; known: float, "),
    ],
)
def test_an_unknown_recipe_is_refused_with_the_nearest_name(plain: Source, pattern: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        choose_recipes(plain, "quick", ("int8", pattern))


def test_a_custom_recipe_is_read_from_its_file(plain: Source, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = (RECIPES / "int8.toml").read_text().replace('"int8"', '"mine"')
    path.write_text(f'{text}bias_correction = "accurate"\n')
    (found,) = choose_recipes(plain, "quick", (str(path),))
    assert found.name == "mine"
    assert found.steps[-1].fields["bias_correction"] == "accurate"
    path.write_text(text.replace("preset", "presett"))
    with pytest.raises(InputError, match=r"mine\.toml: .*unknown field presett; did you mean 'preset'"):
        choose_recipes(plain, "quick", (str(path),))


def test_a_recipe_for_a_different_meaning_is_refused(tensors: Source, plain: Source) -> None:
    with pytest.raises(
        InputError, match=r"--recipe: int8 is for graphs of the meaning person, but .* has the meaning tensors"
    ):
        choose_recipes(tensors, "quick", ("int8",))
    assert [item.name for item in choose_recipes(plain, "quick", ("uncut-int8",))] == ["uncut-int8"]


def test_a_new_recipe_needs_only_a_new_file(plain: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in RECIPES.glob("*.toml"):
        (tmp_path / path.name).write_text(path.read_text())
    text = (tmp_path / "int8.toml").read_text().replace('"int8"', '"mine"').replace("priority = 940", "priority = 999")
    (tmp_path / "a file.toml").write_text(text)
    monkeypatch.setattr(search, "read_recipes", lambda source: recipes.read_recipes(source, tmp_path))
    assert list_names(propose(plain, "quick"))[:2] == ["float", "mine"]


def test_a_given_size_is_tried_first_and_the_sources_size_as_well(plain: Source) -> None:
    trials = propose(plain, "quick", size=WIDE)
    sized = ["513x289" in trial.recipe.name for trial in trials]
    safe, resized = 1, sized.count(True)
    assert sized == [False] * safe + [True] * resized + [False] * (len(trials) - safe - resized)
    assert {trial.recipe.name for trial, wide in zip(trials, sized, strict=True) if wide} == {
        "int8-stride16-refined-safe 513x289",
        "int8-stride16-refined 513x289",
        "int8-stride16-safe 513x289",
        "int8-stride16 513x289",
        "float-stride16-refined 513x289",
        "int8-safe 513x289",
        "int8 513x289",
        "float 513x289",
    }
    assert {trial.canvas for trial, wide in zip(trials, sized, strict=True) if wide} == {None}
    assert trials[safe].name.startswith("int8-stride16-refined-safe 513x289 throughput")


def test_a_recipe_that_sets_a_size_is_not_resized_again(plain: Source) -> None:
    for trial in propose(plain, "thorough", size=WIDE):
        assert sum(step.kind in ("reshape", "shrink") for step in trial.recipe.steps) <= 1


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
def test_a_ratio_keeps_the_longer_side_and_rounds_to_the_sources_grid(
    text: str, source: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert search.parse_size(text, source) == expected


@pytest.mark.parametrize("text", ["16/9", "wide", "0:9", "16:0", "288x", "-1x5"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--size: expected WIDTHxHEIGHT or a ratio such as 16:9, received {text}"):
        search.parse_size(text, (513, 513))


@pytest.mark.parametrize("text", ["0x0", "15x16", "512x4097", "1:1000"])
def test_a_size_that_cannot_be_published_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--size: expected sides of 16 to 4096, received {text}, which is "):
        search.parse_size(text, (513, 513))


def test_two_different_recipes_with_the_same_name_are_refused(plain: Source, tmp_path: Path) -> None:
    """Results are identified by the names of trials, so the recipes' results would be mixed up."""
    mine = tmp_path / "mine.toml"
    mine.write_text((RECIPES / "int8-mixed.toml").read_text().replace('"int8-mixed"', '"int8"'))
    with pytest.raises(InputError, match="--recipe: 2 different recipes are called int8; give each a unique name"):
        search.choose_recipes(plain, "quick", ("int8", str(mine)))
    assert [item.name for item in search.choose_recipes(plain, "quick", ("int8", "int8", "float"))] == ["int8", "float"]


def test_a_device_other_than_the_cpu_chooses_its_own_streams_and_threads(plain: Source) -> None:
    for trial in propose(plain, "quick", device="AUTO"):
        assert (trial.configuration.streams, trial.configuration.threads) == (0, 0)
        assert trial.configuration.device == "AUTO"


def test_an_unknown_effort_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"quick, standard, thorough, received standart; did you mean 'standard'\?"):
        search.find_effort("standart")
    assert search.find_effort("standard").name == "standard"


def test_every_recipe_is_tried_in_one_precision_before_any_in_the_next(plain: Source) -> None:
    _, *trials = propose(plain, "standard")  # without the safe one
    precisions = [trial.configuration.precision for trial in trials]
    changes = sum(a != b for a, b in itertools.pairwise(precisions))
    assert changes == len(set(precisions)) - 1


@pytest.mark.parametrize("units", [True, False])
def test_a_quick_search_tries_bf16_only_if_the_cpu_has_units_for_it(
    plain: Source, units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = structs.replace(search.describe_host(), features=["amx_bf16"] if units else ["avx512_bf16"])
    monkeypatch.setattr(search, "describe_host", lambda: host)
    monkeypatch.setattr(openvino, "list_precisions", lambda: ("f32", "bf16"))
    quick, standard = ({trial.configuration.precision for trial in propose(plain, effort)} for effort in EFFORTS[:2])
    assert quick == ({"f32", "bf16"} if units else {"f32"})
    assert standard == {"f32", "bf16"}


@pytest.mark.parametrize("effort", EFFORTS[1:])
def test_f16_in_8_bit_graphs_is_tried_only_at_thorough_effort(
    plain: Source, effort: EffortName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "list_precisions", lambda: ("f32", "f16"))
    halves = [trial for trial in propose(plain, effort) if trial.configuration.precision == "f16"]
    assert any(not trial.recipe.is_quantized for trial in halves)
    assert any(trial.recipe.is_quantized for trial in halves) == (effort == "thorough")
