"""The content of a run's page, computed for its template."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup
from msgspec import structs

from danmatte.contract.measurement import Measurement
from danmatte_workbench.budget import Budget
from danmatte_workbench.report import run_page
from danmatte_workbench.report.records import Figure, IsaRecord, LayerRecord, LayerRecords, RunRecord, TrialRecord
from danmatte_workbench.report.run_page import KINDS, OTHERS, LayerBar, check_limits, draw_gauge, group_layers
from tests.workbench.facts import HOST
from tests.workbench.report import rundir

WINNER = "int8-pruned30 throughput f32"


def figure(value: float, reach: float = 0.0, unit: str = "u") -> Figure:
    return Figure(value, value - reach, value + reach, unit, 9)


def change(**fields: Any) -> RunRecord:
    """Return the stored run with changes."""
    return structs.replace(rundir.read(), **fields)


def measure(run: RunRecord, **figures: Figure | None) -> TrialRecord:
    """Return the run's winner with other figures; None removes one."""
    chosen = run.chosen
    assert chosen
    measured = {**chosen.measurements, **figures}
    return structs.replace(chosen, measurements={name: item for name, item in measured.items() if item})


# Layers


def layer(kind: str, ms: float, *, name: str = "n", precision: str = "f32") -> LayerRecord:
    return LayerRecord(name, kind, precision, "kernel", ms)


def group(*sides: list[LayerRecord]) -> list[LayerBar]:
    """Return bars by kind of layer."""
    return group_layers([(str(number), side) for number, side in enumerate(sides)], lambda item: item.kind)


SIDES = st.lists(st.builds(layer, st.sampled_from("abcdefghij"), st.floats(0, 1e6)), max_size=30)


@given(SIDES, SIDES)
@example([layer("a", 0.0)], [])
def test_groups_sum_the_times_of_their_layers_and_are_drawn_adjacent(
    before: list[LayerRecord], after: list[LayerRecord]
) -> None:
    bars = group(before, after)
    longest = max(sum(item.ms for item in side) for side in (before, after))
    for bar, side in zip(bars, (before, after), strict=True):
        assert bar.total_ms == pytest.approx(sum(item.ms for item in side))
        assert sum(found.count for found in bar.groups) == len(side)
        assert sum(found.ms for found in bar.groups) == pytest.approx(bar.total_ms)
        start = 0.0
        for rank, found in enumerate(bar.groups):
            assert found.rank == rank
            assert found.start == pytest.approx(start)
            assert found.width == pytest.approx(1000 * found.ms / longest if longest else 0)
            start += found.width
        assert start <= 1000.001


@given(SIDES, SIDES)
def test_both_sides_have_the_same_groups_slowest_first_and_the_rest_as_one(
    before: list[LayerRecord], after: list[LayerRecord]
) -> None:
    first, second = group(before, after)
    names = [found.name for found in first.groups]
    assert names == [found.name for found in second.groups]
    kinds = {item.kind for item in (*before, *after)}
    assert len(names) == min(len(kinds), KINDS)
    assert (OTHERS in names) == (len(kinds) > KINDS)
    spent = {kind: sum(item.ms for item in (*before, *after) if item.kind == kind) for kind in kinds}
    named = [spent[name] for name in names if name != OTHERS]
    assert named == sorted(named, reverse=True)
    assert all(spent[kind] <= min(named, default=0) for kind in kinds - set(names))


def test_a_kind_that_one_side_lacks_is_an_empty_group_there() -> None:
    first, second = group([layer("a", 5), layer("b", 1)], [layer("b", 3)])
    assert [(found.name, found.count, found.ms) for found in second.groups] == [("a", 0, 0), ("b", 1, 3)]
    assert second.groups[1].width == pytest.approx(500)
    assert first.total_ms == 6


def test_a_kind_named_like_the_group_of_the_rest_is_counted_once() -> None:
    kinds = [layer(kind, 10 - number) for number, kind in enumerate("abcdefg")]
    (bar,) = group([*kinds, layer(OTHERS, 1)])
    assert sum(found.count for found in bar.groups) == 8


def test_at_most_ten_of_the_slowest_layers_are_listed_by_side() -> None:
    before = tuple(layer("a", ms, name=f"l{ms}") for ms in range(15))
    run = change(layers=LayerRecords(before, (layer("b", 1.0),)))
    first, second = run_page.describe_layers(run)["sides"]
    side, total, count, slowest, named = first
    assert (side, total, count) == ("before", 105, 15)
    assert [item.ms for item in slowest] == list(range(14, 4, -1))
    assert [item for item, _ in named] == slowest
    assert second[:3] == ("after", 1.0, 1)


def test_a_side_without_layers_has_neither_list_nor_bar() -> None:
    found = run_page.describe_layers(change(layers=LayerRecords((), (layer("a", 1),))))
    assert [side for side, *_ in found["sides"]] == ["after"]
    assert [[bar.side for bar in bars] for _, bars in found["groupings"]] == [["after"], ["after"]]
    assert run_page.describe_layers(change(layers=LayerRecords()))["sides"] == []


def test_layers_without_a_precision_form_their_own_group() -> None:
    found = run_page.describe_layers(change(layers=LayerRecords((layer("a", 2, precision=""), layer("a", 1)), ())))
    assert [item.name for item in dict(found["groupings"])["By precision"][0].groups] == ["?", "f32"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a/b.c", "a/<wbr>b.<wbr>c"),
        ("plain", "plain"),
        ("", ""),
        ("<i>/\x1b", "&lt;i&gt;/<wbr>�"),
    ],
)
def test_a_long_name_may_break_after_slashes_and_dots(name: str, written: str) -> None:
    assert run_page.break_name(name) == Markup(written)


# Instruction sets


def isa(name: str, who: str, speed: float | None, **fields: Any) -> IsaRecord:
    measured = {} if speed is None else {"throughput": figure(speed)}
    return IsaRecord(isa=name, who=who, **({"effective": "k", "measurements": measured} | fields))


def test_instruction_sets_are_rows_and_graphs_columns_in_the_order_of_the_run() -> None:
    run = change(isa=(isa("SSE4", "b", 1), isa("SSE4", "a", 2), isa("AVX2", "a", 3)))
    found = run_page.describe_instruction_sets(run)
    assert found["limited"] == ["b", "a"]
    assert [row["isa"] for row in found["isa_rows"]] == ["SSE4", "AVX2"]
    cells = [[point and point.measurements["throughput"].value for point in row["points"]] for row in found["isa_rows"]]
    assert cells == [[1, 2], [None, 3]]
    assert found["highest"] == 3


def test_each_note_of_an_instruction_set_appears_once() -> None:
    odd = "not honoured: newer kernels ran"
    run = change(
        isa=(
            isa("SSE4", "a", 1, honoured=False, note="slow"),
            isa("SSE4", "b", 1, honoured=False, note="slow"),
            isa("AVX2", "a", 1),
        )
    )
    assert [row["notes"] for row in run_page.describe_instruction_sets(run)["isa_rows"]] == [["slow", odd], []]


def test_the_first_of_two_measurements_of_a_graph_and_instruction_set_is_used() -> None:
    run = change(isa=(isa("AVX2", "a", 1), isa("AVX2", "a", 2)))
    ((point,),) = [row["points"] for row in run_page.describe_instruction_sets(run)["isa_rows"]]
    assert point.measurements["throughput"].value == 1


def test_only_metrics_that_were_measured_have_a_column() -> None:
    run = change(isa=(isa("AVX2", "a", 1), isa("AVX2", "b", None, measurements={"iou_drop": figure(0.1)})))
    assert run_page.describe_instruction_sets(run)["isa_metrics"] == ["throughput", "iou_drop"]
    nothing = run_page.describe_instruction_sets(change(isa=(isa("AVX2", "a", None),)))
    assert (nothing["isa_metrics"], nothing["highest"]) == ([], 0)


# Limits


@pytest.mark.parametrize(
    ("worst", "kept"), [(1.1, True), (1.1000000000000003, False), (1.0999999999999999, True), (5.0, False)]
)
def test_a_limit_is_judged_by_the_pessimistic_end_and_may_be_reached(worst: float, kept: bool) -> None:
    run = rundir.read()
    trial = structs.replace(measure(run, iou_drop=Figure(0.5, 0.4, worst, "points", 9)), confirmation=None)
    assert [check.kept for check in check_limits(run, trial)] == [kept]


@pytest.mark.parametrize(("value", "worst", "kept"), [(1.1, 2.2, True), (1.11, 2.0, False), (0.5, 2.21, False)])
def test_a_confirmed_loss_is_judged_by_the_rule_of_the_budget(value: float, worst: float, kept: bool) -> None:
    """The page uses the budget's rule for confirmed losses, so that a winner never seems to break it."""
    run = rundir.read()
    trial = measure(run, iou_drop=Figure(value, 0.0, worst, "points", 9))
    (check,) = check_limits(run, trial)
    confirmed = Measurement("iou_drop", value, "points", 0.0, worst, 9, HOST)
    assert check.kept is kept is Budget(1.1).confirm([confirmed]).accepted
    assert check.words == f"IoU lost {value:.2f} of 1.1 points allowed, at worst {worst:.2f} of 2.2"


def test_an_unmeasured_metric_breaks_its_limit() -> None:
    run = change(budget={"max_iou_drop": 1.0, "max_latency_ms": 20.0})
    checks = check_limits(run, measure(run, latency=None, iou_drop=None))
    assert [(check.kept, check.words) for check in checks] == [
        (False, "IoU lost not measured of 1 points allowed"),
        (False, "Latency not measured of 20 ms allowed"),
    ]


def test_without_limits_nothing_is_judged() -> None:
    run = change(budget={})
    assert check_limits(run, measure(run)) == []


# Gauges


def read_gauge(figure: Figure, stroke: float | None, name: str = "budget") -> dict[str, float]:
    """Return the horizontal positions of a gauge's lines and its mark."""
    drawn = draw_gauge(figure, stroke, name)
    assert drawn
    root = ElementTree.fromstring(drawn)
    places = {node.attrib["class"]: float(node.attrib["x1"]) for node in root.iter("line")}
    (circle,) = root.iter("circle")
    ends = {node.attrib["class"]: float(node.attrib["x2"]) for node in root.iter("line")}
    return places | {"end": ends["span"], "mark": float(circle.attrib["cx"])}


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.one_of(st.none(), st.floats(-1e6, 1e6)))
@example(0.0, 0.0, None)
@example(1.0, 0.0, None)
def test_all_parts_of_a_gauge_lie_within_it_and_in_order(value: float, reach: float, stroke: float | None) -> None:
    item = figure(value, reach)
    ends = (0.0, item.low, item.high, *(() if stroke is None else (stroke,)))
    if max(ends) == min(ends):
        assert draw_gauge(item, stroke, "budget") is None
        return
    found = read_gauge(item, stroke)
    assert all(0 <= place <= run_page.GAUGE_PX[0] for place in found.values())
    assert found["span"] <= found["mark"] + 0.01
    assert found["mark"] <= found["end"] + 0.01
    assert ("budget" in found) == (stroke is not None)
    for one, other in ((item.low, found["span"]), (stroke, found.get("budget"))):
        if one is not None and other is not None:
            assert other >= found["zero"] - 0.01 if one >= 0 else other <= found["zero"] + 0.01


def test_the_stroke_of_a_gauge_has_the_given_class() -> None:
    assert "base" in read_gauge(figure(5, 1), 2, "base")
    assert "budget" in read_gauge(figure(5, 1), 2, "budget")


# Tiles


def tiles(run: RunRecord, trial: TrialRecord) -> dict[str, str]:
    """Return the reference of each tile."""
    return {tile.metric: tile.against for tile in run_page.make_tiles(run, trial)}


def test_a_tile_is_compared_with_the_budget_or_else_with_the_baseline() -> None:
    run = change(budget={"max_iou_drop": 1.1, "max_latency_ms": 20.0})
    found = tiles(run, measure(run, latency=figure(9.0, 1, "ms")))
    assert found == {
        "speedup": "over TensorFlow, oneDNN on",
        "iou_drop": "budget 1.1 points",
        "throughput": "TensorFlow, oneDNN on: 20.7 frames/s",
        "latency": "budget 20 ms",
        "size_bytes": "",
    }
    free = change(budget={})
    assert tiles(free, measure(free, latency=figure(9.0, 1, "ms")))["latency"] == "TensorFlow, oneDNN on: 47.3 ms"


def test_only_measured_metrics_have_a_tile() -> None:
    run = rundir.read()
    found = run_page.make_tiles(run, measure(run, speedup=None, iou_drop=None, latency=None, throughput=None))
    assert [(tile.metric, tile.gauge) for tile in found] == [("size_bytes", None)]


def test_the_gauge_of_a_speedup_has_its_stroke_at_1() -> None:
    run = rundir.read()
    (tile,) = [tile for tile in run_page.make_tiles(run, measure(run, speedup=figure(4))) if tile.metric == "speedup"]
    (stroke,) = [
        float(node.attrib["x1"]) for node in ElementTree.fromstring(tile.gauge).iter() if node.get("class") == "base"
    ]
    expected = read_gauge(figure(4), 1.0, "base")["base"]
    assert stroke == expected


# The summary


def summarise(run: RunRecord, **figures: Figure | None) -> str:
    return run_page.summarise(run, measure(run, **figures))


def test_a_negative_loss_is_described_as_a_gain() -> None:
    words = summarise(rundir.read(), iou_drop=Figure(-0.25, -0.5, 0.125, "points", 9))
    assert "It gains 0.25 points of IoU [lost: −0.50 … 0.12] on 166 frames that were not used to choose it" in words
    assert words.partition(";")[0].endswith(" (0.12 points when it was chosen), against the true masks")


def test_a_loss_is_attributed_to_the_frames_that_measured_it() -> None:
    run = rundir.read()
    assert run.chosen
    assert run_page.count_frames(run, run.chosen) == 166  # the confirming frames, not all frames
    unconfirmed = structs.replace(run.chosen, confirmation=None)
    assert run_page.count_frames(run, unconfirmed) == 80
    older = structs.replace(run, data=structs.replace(run.data, choosing_frames=0))
    assert run_page.count_frames(older, unconfirmed) == 246


def test_cross_validation_of_tensors_is_described_in_the_summary() -> None:
    run = rundir.read()
    assert run.chosen
    assert run.chosen.confirmation
    loss = run.chosen.measurements["iou_drop"]
    confirmation = structs.replace(run.chosen.confirmation, choosing={"disagreement": loss}, crossed=True)
    chosen = structs.replace(run.chosen, measurements={"disagreement": loss}, confirmation=confirmation)
    words = run_page.summarise(structs.replace(run, budget={"max_disagreement": 1.1}, trials=(chosen,)), chosen)
    assert "] on 166 frames by cross-validation (0.47 points when it was chosen)" in words


def test_a_loss_of_zero_is_not_described_as_a_gain() -> None:
    assert "It loses 0.00 points" in summarise(rundir.read(), iou_drop=figure(0.0))


def test_without_true_masks_a_loss_is_described_as_a_difference_from_the_source() -> None:
    run = rundir.read()
    bare = structs.replace(run, data=structs.replace(run.data, labelled=False))
    words = summarise(bare)
    assert "Its masks differ from the source’s own by 0.47 points [" in words
    assert "on 166 frames that were not used to choose it" in words
    assert "loses" not in words


def test_the_summary_names_the_machine_only_if_it_is_known() -> None:
    for host in (
        {"cores": 2},
        {"cpu": "x"},
        {"cpu": 5, "cores": 2},
        {"cpu": "", "cores": 2},
        {"cpu": "x", "cores": "2"},
    ):
        assert " cores of " not in summarise(change(host=host))
    assert "102 frames/s on 2 cores of x," in summarise(change(host={"cpu": "x", "cores": 2}))
    assert "102 frames/s on 4 cores of x," in summarise(change(host={"cpu": "x", "cores": 2, "threads": 4}))


def test_unmeasured_metrics_are_left_out_of_the_summary() -> None:
    assert summarise(rundir.read(), throughput=None, speedup=None, iou_drop=None) == " is the winner"
    nearest = change(winner=None, nearest=WINNER)
    assert summarise(nearest, throughput=None, speedup=None, iou_drop=None) == " came nearest"


def test_the_baseline_is_called_the_faster_of_its_settings_if_there_are_several() -> None:
    run = rundir.read()
    assert "as fast as TensorFlow, oneDNN on, the faster of its settings." in summarise(run)
    alone = structs.replace(run, baselines={run.fastest_baseline: run.baselines[run.fastest_baseline]})
    assert "the faster of its settings" not in summarise(alone)


# Metrics, machine, origin


def test_known_metrics_come_first_in_their_order_and_then_the_others() -> None:
    run = change(baselines={}, fastest_baseline="")
    trial = measure(run, zebra=figure(1), apple=figure(1), latency=figure(1))
    listed = run_page.list_metrics(structs.replace(run, trials=(trial,), winner=trial.name))
    assert listed == [
        "throughput",
        "speedup",
        "latency",
        "iou_drop",
        "mean_iou",
        "boundary_iou",
        "size_bytes",
        "zebra",
        "apple",
    ]


def test_a_trial_without_a_throughput_has_a_speed_of_0() -> None:
    run = rundir.read()
    assert run_page.get_speed(measure(run, throughput=None)) == 0
    assert run_page.get_speed(measure(run, throughput=figure(7))) == 7


def test_known_facts_of_the_machine_come_first_and_empty_ones_are_left_out() -> None:
    host = {
        "zebra_stripes": 3,
        "python": "3.11",
        "cpu": "x",
        "quota_cores": None,
        "sockets": 0,
        "os": "",
        "allowed_cpus": [],
    }
    assert run_page.describe_host(host) == [("CPU", "x"), ("Python", "3.11"), ("Zebra stripes", "3")]


def test_memory_is_in_gibibytes_if_it_is_a_number_of_bytes() -> None:
    assert run_page.describe_host({"memory_bytes": 2**34}) == [("Memory", "16.0 GiB")]
    assert run_page.describe_host({"memory_bytes": "much"}) == [("Memory", "much")]
    huge = 10**300
    assert run_page.describe_host({"memory_bytes": huge}) == [("Memory", str(huge))]


def test_instruction_sets_are_listed_once() -> None:
    both = run_page.describe_host({"features": ["avx2"], "instruction_sets": ["avx2", "vnni"]})
    assert both == [("Instruction sets", "avx2, vnni")]
    assert run_page.describe_host({"features": ["avx2"]}) == [("Instruction sets", "avx2")]


def test_source_and_data_are_described() -> None:
    run = rundir.read()
    origin = dict(run_page.describe_origin(run))
    assert origin["Input"] == "513×513"
    assert origin["Answer"] == "a person’s mask"
    assert origin["Frames"] == "246 frames, with masks"
    assert origin["From"] == "data/people/val"
    assert origin["Calibration"] == "128 frames"
    assert origin["Digest"] == Markup("<code>{}</code>").format(run.source.digest)


def test_unknown_facts_of_source_and_data_are_marked() -> None:
    run = rundir.read()
    source = structs.replace(run.source, size=None, meaning="tensors", digest="<b>")
    data = structs.replace(run.data, origin=None, labelled=False, frames=1, calibration_frames=1)
    origin = dict(run_page.describe_origin(structs.replace(run, source=source, data=data, published=None)))
    assert origin == {
        "Source": run.source.name,
        "Format": "frozen",
        "Input": "any",
        "Answer": "tensors, compared as they are",
        "Digest": Markup("<code>&lt;b&gt;</code>"),
        "Frames": "1 frame, without masks",
        "From": "–",
        "Calibration": "1 frame",
        "Published as": "nothing",
    }


def test_a_non_square_input_is_written_width_first() -> None:
    run = rundir.read()
    wide = structs.replace(run, source=structs.replace(run.source, size=(288, 512)))
    assert dict(run_page.describe_origin(wide))["Input"] == "512×288"
