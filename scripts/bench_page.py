"""`scripts/bench page`: cost of the page in a browser, and of a long track before its first mask.

Chromium plays the sample clip with its track in a loop. Comments are moved by the compositor, as comment libraries do.
Script time is the sum of the callbacks of repaints and of video frames between two repaints.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from danmatte.tracks import TrackReader
from danmatte.tracks.track import find_format

ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "service/danmatte/web"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")
THROTTLES = (1, 4)
PAGE = """<!doctype html>
<style>
  #stage { position: relative; width: 1280px; height: 720px; overflow: hidden }
  video { width: 100%; height: 100% }
  #layer { position: absolute; inset: 0; overflow: hidden; contain: strict }
  #layer span { position: absolute; white-space: pre; color: #fff; font: 26px sans-serif; will-change: transform }
</style>
<div id=stage><video id=video src=/sample.webm muted loop></video><div id=layer></div></div>
<script>
  // Before any module: sum up the time of callbacks between two repaints.
  let sum = 0;
  window.times = [];
  const time = (call) => (...values) => {
    const began = performance.now();
    call(...values);
    sum += performance.now() - began;
  };
  const [repaint, frame] = [requestAnimationFrame, HTMLVideoElement.prototype.requestVideoFrameCallback];
  window.requestAnimationFrame = (call) => repaint.call(window, time(call));
  HTMLVideoElement.prototype.requestVideoFrameCallback = function (call) {
    return frame.call(this, time(call));
  };
  const note = () => {
    times.push(sum);
    sum = 0;
    repaint.call(window, note);
  };
  note();
</script>
<script type=module>
  import { attach, openTrack } from "/danmatte.js";
  for (let row = 0; row < 12; row++) {
    for (let number = 0; number < 5; number++) {
      const span = Object.assign(document.createElement("span"), { textContent: "comments pass behind people" });
      span.style.top = `${row * 56}px`;
      layer.append(span);
      const options = { duration: 9000, iterations: Infinity, delay: -1800 * number - 400 * row };
      span.animate({ transform: ["translateX(1280px)", "translateX(-400px)"] }, options);
    }
  }
  window.wear = (margin) => {
    window.handle = attach(video, layer, { track: "/sample.mattes", preferences: { margin } });
    return video.play();
  };
  /** Count bytes and requests until a track has the mask of a moment. */
  window.seekTrack = async (url, ms) => {
    const counts = { bytes: 0, requests: 0 };
    const plain = window.fetch;
    window.fetch = async (...values) => {
      const answer = await plain(...values);
      counts.requests += 1;
      counts.bytes += Number(answer.headers.get("Content-Length"));
      return answer;
    };
    const track = openTrack(url);
    const began = performance.now();
    await track.ready;
    while (!track.at(ms) && !track.error) {
      track.want(ms, { playbackRate: 1, duration: Infinity, loop: false });
      await new Promise((done) => setTimeout(done, 5));
      if (track.at(ms)) break;
    }
    window.fetch = plain;
    return { ...counts, ms: performance.now() - began, error: track.error };
  };
  window.ready = true;
</script>"""

LOOP = """(speed) => {
  Object.assign(window, { loops: 0, repaints: 0 });
  let last = 0;
  const count = (_now, { mediaTime }) => {
    loops += mediaTime < last;
    last = mediaTime;
    video.requestVideoFrameCallback(count);
  };
  video.requestVideoFrameCallback(count);
  video.playbackRate = speed;
}"""


def add_page(parser: argparse.ArgumentParser) -> None:
    """Add the options: how long each part runs."""
    parser.add_argument("--seconds", type=float, default=20, help="time of playing at each CPU throttle")
    parser.add_argument("--minutes", type=float, default=60, help="time of looping while memory is measured")
    parser.add_argument("--speed", type=float, default=16, help="playback rate while looping, at most 16")
    parser.add_argument("--hours", type=float, default=2, help="length of the long track")
    parser.add_argument("--margin", type=float, default=0.0, help="margin around people, as a share of the height")
    parser.add_argument(
        "--quick", action="store_true", help="only script time and the long track, in under five minutes"
    )
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/page.json")
    parser.set_defaults(run=measure_page)


def measure_page(options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of the page in a browser."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        long = Path(folder) / "long.mattes"
        write_long_track(long, options.hours)
        with serve(PAGE, long) as address:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1300, "height": 740})
            page.goto(f"{address}/bench.html")
            page.wait_for_function("window.ready")
            facts = {"browser": browser.version, "margin": options.margin, "load": os.getloadavg()[0]}
            facts["long_track"] = {"hours": options.hours, "file_bytes": long.stat().st_size} | page.evaluate(
                "seekTrack('/long.mattes', 0)"
            )
            page.evaluate(f"wear({options.margin})")
            page.wait_for_function("handle.stats.state === 'masked'")
            session = page.context.new_cdp_session(page)
            # Count the page's CPU time, so that other programs affect the figures less.
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            facts["playing"] = {str(rate): measure_playing(page, session, rate, options.seconds) for rate in THROTTLES}
            if not options.quick:
                facts["looping"] = measure_memory(page, session, options.minutes, options.speed)
            browser.close()
    for name, value in facts.items():
        print(f"  {name}: {value}")
    return facts


def measure_playing(page: Any, session: Any, throttle: int, seconds: float) -> dict[str, float]:
    """Return script milliseconds per repaint and layouts a second, on a CPU slowed down ``throttle`` times.

    Median, 95th percentile and maximum are of wall-clock time; the mean is of the CPU time of all scripts.
    """
    session.send("Emulation.setCPUThrottlingRate", {"rate": throttle})
    page.wait_for_timeout(1000)
    before = read_metrics(session)
    page.evaluate("times.length = 0")
    page.wait_for_timeout(1000 * seconds)
    times = sorted(page.evaluate("times"))
    after = read_metrics(session)
    session.send("Emulation.setCPUThrottlingRate", {"rate": 1})
    return {
        "repaints": len(times),
        "script_ms_median": statistics.median(times),
        "script_ms_p95": times[int(0.95 * len(times))],
        "script_ms_max": times[-1],
        "script_cpu_ms_mean": 1000 * (after["ScriptDuration"] - before["ScriptDuration"]) / len(times),
        "layouts_per_s": (after["LayoutCount"] - before["LayoutCount"]) / seconds,
        "layout_ms_per_s": 1000 * (after["LayoutDuration"] - before["LayoutDuration"]) / seconds,
    }


def measure_memory(page: Any, session: Any, minutes: float, speed: float) -> dict[str, Any]:
    """Return heap, nodes and listeners after every tenth of ``minutes`` of the looping film, after garbage collection.

    The film runs ``speed`` times as fast, so that an hour of it takes minutes. A leak per loop is measured in full; a
    leak per repaint only for the ``repaints`` that happened. ``loops`` counts the loops that the browser really played.
    """
    page.evaluate(LOOP, speed)
    samples: list[dict[str, float]] = []
    for number in range(11):
        if number:
            page.wait_for_timeout(6000 * minutes / speed)
        repaints, loops = page.evaluate("[repaints += times.splice(0).length, loops]")
        session.send("HeapProfiler.collectGarbage")
        found = read_metrics(session)
        kept = {name: found[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners")}
        samples.append({"loops": loops, "repaints": repaints} | kept)
    heap, passed = ([sample[name] for sample in samples[1:]] for name in ("JSHeapUsedSize", "loops"))
    slope = statistics.linear_regression(
        passed, heap
    ).slope  # without the first tenth, in which scripts are compiled and caches filled
    hour = 3600 / page.evaluate("video.duration")
    state = page.evaluate("handle.stats.state")
    return {"minutes": minutes, "speed": speed, "state": state, "heap_bytes_per_hour": slope * hour, "samples": samples}


def read_metrics(session: Any) -> dict[str, float]:
    """Return Chromium's counters of the page by name."""
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


def write_long_track(path: Path, hours: float) -> None:
    """Write a track that repeats the sample's segments for ``hours``; a segment doesn't depend on its start time."""
    known = WEB / "sample.mattes"
    with TrackReader(known) as sample:
        header, segments, entries = replace(sample.header, film=None), sample.segments, list(sample)
    data, length_ms = known.read_bytes(), entries[-1].pts_ms + 40
    starts = range(0, round(3_600_000 * hours), length_ms)
    places = [(start_ms + each.start_ms, each.length) for start_ms in starts for each in segments]
    bodies = b"".join(data[each.offset : each.offset + each.length] for each in segments)
    path.write_bytes(find_format(path).format_head(header, places) + bodies * len(starts))


@contextmanager
def serve(page: str, long: Path) -> Iterator[str]:
    """Serve the player's folder, the page and the long track on a free port; yield the address."""

    async def send_page(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    async def send_track(_: web.Request) -> web.FileResponse:
        return web.FileResponse(long)

    async def start() -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.add_routes([web.get("/bench.html", send_page), web.get("/long.mattes", send_track), web.static("/", WEB)])
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
