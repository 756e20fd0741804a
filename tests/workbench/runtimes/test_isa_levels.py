"""oneDNN's levels, and which of them kernels use."""

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes.isa_levels import (
    LEVELS,
    USUAL,
    Kernels,
    choose_precision,
    find_highest,
    is_within,
    list_missing,
    list_older,
    name_family,
    sort_levels,
)

ZEN4 = ("avx2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16")


def test_a_cpu_can_be_limited_to_the_levels_below_its_highest() -> None:
    assert list_older(ZEN4) == ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")
    assert list_older(["avx2"]) == ()
    assert list_older(["asimd"]) == ()


def test_levels_are_sorted_oldest_first() -> None:
    assert sort_levels(["AVX512_CORE", "AVX2"]) == ["AVX2", "AVX512_CORE"]
    assert sort_levels(USUAL) == list(USUAL)


def test_an_unknown_level_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"received avx512_core_vni; did you mean 'AVX512_CORE_VNNI'\?"):
        sort_levels(["avx512_core_vni"])


@pytest.mark.parametrize(
    ("level", "lacks"),
    [("AVX2", ()), ("AVX512_CORE_BF16", ()), ("AVX512_CORE_AMX", ("amx_bf16", "amx_int8", "amx_tile"))],
)
def test_missing_features_of_a_cpu_are_listed(level: str, lacks: tuple[str, ...]) -> None:
    assert list_missing(level, ZEN4) == lacks


@pytest.mark.parametrize(
    ("features", "level"),
    [
        (ZEN4, "AVX512_CORE_BF16"),
        (("avx2",), "AVX2"),
        ((), None),
        ((*ZEN4, *LEVELS["AVX512_CORE_AMX"]), "AVX512_CORE_AMX"),
    ],
)
def test_the_highest_level_is_the_newest_without_missing_features(features: tuple[str, ...], level: str | None) -> None:
    assert find_highest(features) == level


@pytest.mark.parametrize(
    ("kernels", "level", "fits"),
    [
        ("avx2", "AVX2", True),
        ("avx512", "AVX2_VNNI", False),
        ("avx512", "AVX512_CORE", True),
        ("amx", "AVX512_CORE_BF16", False),
    ],
)
def test_a_family_of_kernels_is_within_a_level_or_newer(kernels: str, level: str, fits: bool) -> None:
    assert is_within(kernels, level) is fits


def test_newer_kernels_in_heavy_layers_break_a_limit_and_are_reported() -> None:
    kernels = Kernels({"avx2": 60, "avx512": 8}, {"avx2": 3}, {})
    assert (kernels.newest, kernels.honours("AVX2"), kernels.honours("AVX512_CORE")) == ("avx512", False, True)
    assert kernels.describe_newer("AVX2") == ["limit ignored: 8 of 68 heavy layers use avx512"]


def test_newer_kernels_in_light_layers_are_reported_and_tolerated() -> None:
    kernels = Kernels({"avx2": 68}, {"avx512": 2}, {})
    assert kernels.honours("AVX2")
    assert kernels.describe_newer("AVX2") == ["2 light layers still use avx512"]


def test_a_limit_is_not_honoured_if_the_plugin_reports_no_kernels() -> None:
    assert not Kernels({}, {}, {}).honours("AVX2")


def test_all_levels_are_sorted_in_their_defined_order() -> None:
    assert sort_levels(reversed(LEVELS)) == list(LEVELS)
    assert sort_levels([]) == []


@pytest.mark.parametrize(
    ("level", "name"),
    [("AVX2", "avx2"), ("AVX2_VNNI", "avx2"), ("AVX512_CORE_BF16", "avx512"), ("AVX512_CORE_AMX_FP16", "amx")],
)
def test_a_level_is_named_by_its_family_of_kernels(level: str, name: str) -> None:
    assert name_family(level) == name
    assert is_within(name, level)


def test_this_cpu_has_all_features_of_its_highest_level() -> None:
    level = find_highest()
    assert level is None or list_missing(level) == ()


def test_each_newer_family_of_kernels_is_reported() -> None:
    kernels = Kernels({"avx2": 1, "avx512": 2, "amx": 3}, {"amx": 1}, {})
    assert kernels.describe_newer("AVX2") == [
        "limit ignored: 2 of 6 heavy layers use avx512",
        "limit ignored: 3 of 6 heavy layers use amx",
        "1 light layers still use amx",
    ]
    assert kernels.describe_newer("AVX512_CORE_AMX") == []


@pytest.mark.parametrize(
    ("level", "wanted", "computed"),
    [
        ("AVX2", "bf16", "f32"),
        ("AVX512_CORE_VNNI", "bf16", "f32"),
        ("AVX512_CORE_BF16", "bf16", "bf16"),
        ("AVX512_CORE_BF16", "f16", "f32"),
        ("AVX512_CORE_AMX", "bf16", "bf16"),
        ("AVX512_CORE_AMX", "f16", "f16"),
        ("AVX2", "f32", "f32"),
    ],
)
def test_a_precision_that_a_level_does_not_support_falls_back_to_f32(level: str, wanted: str, computed: str) -> None:
    assert choose_precision(level, wanted) == computed
