"""Figures of the service on a machine that was measured in part, and of runs whose counts add up."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parent.parent / "models/deeplab/measurements/service"


def read_stored(name: str) -> Any:
    """Return a stored measurement, or None."""
    file = STORED / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def render_xeon() -> str:
    """Return a table of cost, plans, soak, hostile inputs and clients, as far as they are stored."""
    rows = ["| what | figure |", "|---|---|"]
    for name, describe in (
        ("xeon/cost", describe_cost),
        ("xeon/plan", describe_plan),
        ("xeon/soak-toy", describe_soak),
        ("fuzz", describe_fuzz),
        ("clients", describe_clients),
    ):
        found = read_stored(name)
        rows += [f"| {what} | {figure} |" for what, figure in describe(found)] if found else []
    return "\n".join(rows)


def describe_cost(found: Any) -> Iterator[tuple[str, str]]:
    """Yield rows on the CPU time of a mask, and on raw tensors compared with OpenVINO's benchmark."""
    served_ms = statistics.median(item["served_ms"] for item in found["cpu"])
    yield (
        "CPU time of a mask; over decode, resize, infer and encode alone, and one after another",
        f"{served_ms:.1f} ms; {found['cpu_ratio']:.2f} ×, {found['in_order_ratio']:.2f} ×",
    )
    shares = [100 * item["v2_per_s"] / item["benchmark_app_per_s"] for item in found["v2"]]
    yield (
        "raw tensors, over `benchmark_app` (single rounds)",
        f"{100 * found['v2_share']:.0f} % ({min(shares):.0f}–{max(shares):.0f} %)",
    )


def describe_plan(found: Any) -> Iterator[tuple[str, str]]:
    """Yield rows on predicted over measured p99, and on the maximum number of streams."""
    for cores in sorted({row["cores"] for row in found["ratios"]}):
        for pattern in ("periodic", "poisson"):
            own = [row for row in found["ratios"] if (row["cores"], row["pattern"]) == (cores, pattern)]
            loads = " / ".join(f"{100 * row['share']:.0f}" for row in own)
            ratios = " / ".join(f"{row['ratio']:.2f}" for row in own)
            from_one = " / ".join(f"{row['ratio_from_one_core']:.2f}" for row in own)
            also = f"; from one core's times {from_one}" if cores > 1 else ""
            label = f"p99 predicted over measured, {cores} core{'s' * (cores > 1)}, {pattern}, at {loads} % load"
            yield f"{label}, medians of {len(found['rounds'])} rounds", f"{ratios}{also}"
    for row in found["most_streams"]:
        yield (
            f"maximum streams of {found['fps']:.0f} frames a second, {row['pattern']}, with p99 within "
            f"{found['limit_ms']:.0f} ms: predicted, measured",
            f"{row['predicted']:.0f}, {row['measured']:.0f}",
        )


def describe_soak(found: Any) -> Iterator[tuple[str, str]]:
    """Yield a row on lost posts and memory growth in a long run."""
    yield (
        "posts to a graph that only averages brightness → lost, growth of memory per post",
        f"{found['posts']:,} → {found['failed']}, {found['memory_slope_bytes_per_post']:.1f} bytes",
    )


def describe_fuzz(found: Any) -> Iterator[tuple[str, str]]:
    """Yield a row on hostile inputs by kind."""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(found["kinds"].items()))
    yield "hostile inputs without a crash, a hang, a 500 or an unexpected log line", f"{found['inputs']:,}: {kinds}"


def describe_clients(found: Any) -> Iterator[tuple[str, str]]:
    """Yield a row on unmodified clients with their versions."""
    clients = ", ".join(f"{name} {one['version']}" for name, one in found["clients"].items())
    yield "unmodified clients that are served, in one run", clients
