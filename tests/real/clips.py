"""Clips with many containers, clocks and matrices, made by ffmpeg; a file server; and a page that plays them."""

import asyncio
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.architecture.sources import ROOT
from tests.real.shared import needed

WEB = ROOT / "service" / "danmatte" / "web"
H264 = "-c:v libx264 -preset veryfast -crf 30 -pix_fmt yuv420p -g 12 -bf 2"
PLAIN = "-c:v libx264 -preset ultrafast -crf 30 -pix_fmt yuv420p -g 12 -bf 0"
VP8 = "-c:v libvpx -deadline realtime -cpu-used 8"
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"
SOUND = "-f lavfi -i sine=440:d=1.6"
HLS = "-f hls -hls_time 0.48 -hls_list_size 0"
FRAGMENTS = "-movflags frag_keyframe+empty_moov"
IRREGULAR = "-vf setpts='(N+floor(N/3)*0.7)/25/TB' -fps_mode vfr"


def shoot(rate: str = "25", seconds: float = 1.6) -> str:
    """Return ffmpeg's input options for a moving test picture."""
    return f"-f lavfi -i testsrc2=s=320x180:r={rate}:d={seconds}"


MORE = {
    "plain.mp4": f"{shoot()} {H264}",
    "no_b_frames.mp4": f"{shoot()} {PLAIN}",
    "film.mp4": f"{shoot('24000/1001')} {H264}",
    "ntsc.mp4": f"{shoot('30000/1001')} {H264}",
    "fast.mp4": f"{shoot('60000/1001', 1)} {H264}",
    "slow.mp4": f"{shoot('15')} {H264}",
    "irregular.mp4": f"{shoot()} {IRREGULAR} -video_track_timescale 90000 {H264}",
    "trimmed.mp4": "-ss 0.7 -i plain.mp4 -c copy",
    "cut_before_0.mp4": "-i plain.mp4 -c copy -output_ts_offset -0.5 -avoid_negative_ts disabled",
    "late.mp4": "-i plain.mp4 -c copy -output_ts_offset 8.333",
    "sound.mp4": f"{shoot()} {SOUND} {H264} -c:a aac -shortest",
    "sound_later.mp4": f"{shoot()} -itsoffset 0.5 {SOUND} {H264} -c:a aac",
    "late_sound.mp4": "-i sound.mp4 -c copy -output_ts_offset 8.333",
    "picture_later.mp4": f"{SOUND} -itsoffset 0.3 {shoot()} {H264} -fps_mode passthrough -c:a aac -map 1:v -map 0:a",
    "fragmented.mp4": f"{shoot()} {H264} {FRAGMENTS}",
    "fragmented_later_index.mp4": f"{shoot()} {H264} {FRAGMENTS}+delay_moov",
    "fragmented_negative_offsets.mp4": f"{shoot()} {H264} {FRAGMENTS}+negative_cts_offsets+default_base_moof",
    "no_edits.mp4": f"{shoot()} {H264} -use_editlist 0",
    "negative_offsets.mp4": f"{shoot()} {H264} -movflags negative_cts_offsets",
    "quicktime.mov": f"{shoot()} {H264}",
    "itunes.m4v": f"{shoot()} {PLAIN} -f mp4",
    "phone.3gp": f"{shoot()} {PLAIN}",
    "vp8.webm": f"{shoot()} {VP8}",
    "vp9.webm": f"{shoot()} {VP9}",
    "av1.mp4": f"{shoot(seconds=0.6)} -c:v libaom-av1 -cpu-used 8 -usage realtime",
    "ntsc.webm": f"{shoot('30000/1001')} {VP9}",
    "irregular.webm": f"{shoot()} {IRREGULAR} {VP8}",
    "late.webm": "-i vp9.webm -c copy -output_ts_offset 3.2",
    "before_0.webm": "-i vp8.webm -c copy -output_ts_offset -0.5 -avoid_negative_ts disabled",
    "picture_later.webm": f"{SOUND} -itsoffset 0.3 {shoot()} {VP8} -c:a libopus -map 1:v -map 0:a",
    "matroska.mkv": f"{shoot()} {H264}",
    "wide_pixels.mp4": f"{shoot()} -vf setsar=64/45 {H264}",
    "wide_pixels.webm": f"{shoot()} -vf setsar=64/45 {VP8}",
    "hls/list.m3u8": f"-i plain.mp4 -c copy {HLS}",
    "hls_fmp4/list.m3u8": f"-i plain.mp4 -c copy {HLS} -hls_segment_type fmp4",
    "hls_ranges/list.m3u8": f"-i plain.mp4 -c copy {HLS} -hls_flags single_file",
    "hls_sound/list.m3u8": f"-i sound.mp4 -c copy {HLS}",
    "hls_rounded/list.m3u8": f"-i film.mp4 -c copy {HLS} -hls_flags round_durations",
    "hls_other/list.m3u8": f"-i plain.mp4 -c copy {HLS} -output_ts_offset 33",
    "dash/list.mpd": f"{shoot()} {H264} -f dash -seg_duration 0.48",
    "dash_webm/list.mpd": f"{shoot()} {VP9} -g 12 -f dash -seg_duration 0.48",
}
MATRICES = {
    "quarter_turn.mp4": "0 1 -1 0",
    "half_turn.mp4": "-1 0 0 -1",
    "three_quarters.mp4": "0 -1 1 0",
    "left_to_right.mp4": "-1 0 0 1",
    "top_to_bottom.mp4": "1 0 0 -1",
    "transposed.mp4": "0 1 1 0",
    "transposed_other_way.mp4": "0 -1 -1 0",
}
CASES = ("base.mp4", "mirror_h.mp4", "mirror_v.mp4", "transpose.mp4", "starts10.mp4", "negative.mkv", "hls/list.m3u8")
STREAMS = ("gop30.ts", "gop250.ts")  # played as a list of one segment
PACKAGES = ("hls.js@1", "shaka-player@5", "dashjs@5")
PAGE = """<!doctype html><meta charset=utf-8>
<script src="/npm/hls.js/dist/hls.min.js"></script>
<script src="/npm/shaka-player/dist/shaka-player.compiled.js"></script>
<script src="/npm/dashjs/dist/modern/umd/dash.all.min.js"></script>
<script type=module>
  import { followHls } from "/web/adapters/hls.js";
  import { findMismatch, findStored, toTrackTime } from "/web/film.js";
  import { LoopClock } from "/web/frame-clock.js";

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  async function load(video, url, player) {
    const ready = new Promise((done, fail) => {
      video.onloadeddata = done;
      video.onerror = () => fail(new Error(video.error.message));
      setTimeout(() => fail(new Error("nothing within 20 s")), 20_000);
    });
    let [engine, clock, end] = [null, undefined, () => {}];
    if (player === "hls.js") {
      engine = new Hls();
      clock = followHls(engine);
      engine.loadSource(url);
      engine.attachMedia(video);
      end = () => engine.destroy();
    } else if (player === "shaka-player") {
      engine = new shaka.Player();
      await engine.attach(video);
      await engine.load(url);
      end = () => engine.destroy();
    } else if (player === "dash.js") {
      engine = dashjs.MediaPlayer().create();
      engine.initialize(video, url, false);
      end = () => engine.destroy();
    } else video.src = url;
    await ready;
    return { clock, end };
  }

  /** Play a film once, on a track's clock; times that playing dropped are visited by seeking. */
  window.play = async ([url, player, film, times, loops]) => {
    const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, loop: loops > 0 });
    document.body.replaceChildren(video);
    const [seen, sought, rolls] = [[], [], new LoopClock()];
    video.addEventListener("seeking", () => sought.push(1000 * video.currentTime));
    let media = null;
    const call = (_now, frame) => {
      media = rolls.unroll(1000 * frame.mediaTime, video, frame.presentedFrames);
      seen.push(media);
      video.requestVideoFrameCallback(call);
    };
    video.requestVideoFrameCallback(call);
    const { clock, end } = await load(video, url, player);
    const map = (ms) => toTrackTime(ms, video, film, { clock });
    await pause(200);
    const canvas = Object.assign(document.createElement("canvas"), { width: 32, height: 32 });
    const context = canvas.getContext("2d");
    context.drawImage(video, 0, 0, 32, 32);
    const { data } = context.getImageData(0, 0, 32, 32);
    const weigh = (at) => 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    const grey = Array.from({ length: 1024 }, (_, at) => weigh(4 * at));
    await video.play();
    if (loops) await pause(1000 * video.duration * loops);
    else await Promise.race([new Promise((done) => (video.onended = done)), pause(30_000)]);
    video.pause();
    const [played, places, found] = [seen.map(map), sought.map(map), []];
    for (const ms of loops ? [] : times.filter((at) => !played.some((one) => Math.abs(one - at) <= 0.51))) {
      for (let tries = 0; tries < 3 && !found.some((one) => Math.abs(one - ms) <= 0.51); tries++) {
        media = null;
        video.currentTime += (ms + 4 + 9 * tries - map(1000 * video.currentTime)) / 1000;
        for (let turn = 0; turn < 60 && media === null; turn++) await pause(30);
        if (media !== null) found.push(map(media));
      }
    }
    const mismatch = findMismatch(film, video, { clock });
    const [size, stored] = [[video.videoWidth, video.videoHeight], findStored(film, video)];
    await end();
    video.removeAttribute("src");
    video.load();
    return { played, sought: places, found, grey, mismatch, size, stored };
  };
  window.ready = true;
</script>"""


def make_clips(folder: Path) -> None:
    """Makes those of the shared script and those above."""
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    script = needed("cases/videos/make.sh")
    run(["bash", str(script), str(folder / "cases")], folder)
    more = folder / "more"
    for name, words in MORE.items():
        (more / name).parent.mkdir(parents=True, exist_ok=True)
        run(
            ["ffmpeg", "-v", "error", "-y", *words.replace("'", "").split(), Path(name).name],
            (more / name).parent,
            more,
        )
    for name, numbers in MATRICES.items():
        run([sys.executable, str(script.with_name("matrix.py")), "no_b_frames.mp4", name, *numbers.split()], more)
    for name in STREAMS:
        lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", "#EXTINF:4,", name, "#EXT-X-ENDLIST"]
        (folder / "cases" / f"{name}.m3u8").write_text("\n".join(lines))
    write_joined_list(more)


def write_joined_list(more: Path) -> None:
    """A playlist whose second half is another recording, with a clock of its own."""
    first, second = ((more / name / "list.m3u8").read_text() for name in ("hls", "hls_other"))
    ads = [line for line in second.splitlines() if line.startswith("#EXTINF") or not line.startswith("#")]
    ads = [line if line.startswith("#") else f"../hls_other/{line}" for line in ads]
    whole = first.replace("#EXT-X-ENDLIST", "\n".join(["#EXT-X-DISCONTINUITY", *ads, "#EXT-X-ENDLIST"]))
    (more / "hls" / "joined.m3u8").write_text(whole)


def run(command: list[str], folder: Path, inputs: Path | None = None) -> None:
    if inputs is not None and inputs != folder:  # inputs are relative to the folder of clips
        command = [
            str(inputs / word) if (inputs / word).is_file() and word.endswith(".mp4") else word for word in command
        ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def fetch_players(folder: Path, *packages: str) -> Path:
    """Install hls.js, shaka-player and dash.js, or the named packages, by npm; skip the test if that fails."""
    npm = shutil.which("npm")
    if not npm:
        pytest.skip("needs npm")
    command = [
        npm,
        "install",
        "--prefix",
        str(folder),
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        *(packages or PACKAGES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm couldn't fetch the players: {done.stderr[-200:]}")
    return folder / "node_modules"


@contextmanager
def serve_files(clips: Path, players: Path) -> Iterator[str]:
    """Serve clips, players and the page, with byte ranges; yield the address."""
    app = web.Application()
    for path, folder in (("/clips", clips), ("/npm", players), ("/web", WEB)):
        app.router.add_static(path, folder)

    async def send_page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    app.router.add_get("/", send_page)
    loop, runner = asyncio.new_event_loop(), web.AppRunner(app)
    loop.run_until_complete(runner.setup())
    site = web.TCPSite(runner, "127.0.0.1", 0)
    loop.run_until_complete(site.start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(runner.cleanup())
        loop.close()
