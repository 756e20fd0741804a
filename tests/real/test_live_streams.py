"""`danmatte live` between real programs: ffmpeg sends by RTMP and by a pipe, and receives by RTMP."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import av
import m3u8
import pytest

from danmatte.broadcast.sei import read_message

pytestmark = pytest.mark.slow

FFMPEG = ("ffmpeg", "-v", "error", "-y")
SECONDS = 5


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds with sound."""
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    picture = f"testsrc=size=640x360:rate=25:duration={SECONDS}"
    sources = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=duration={SECONDS}"]
    codecs = ["-c:v", "libx264", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    subprocess.run([*FFMPEG, *sources, *codecs, str(path)], check=True, timeout=120)
    return path


@contextmanager
def run_ffmpeg(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*FFMPEG, *words], stderr=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield process
        process.wait(60)
    finally:
        process.kill()
        process.communicate()


def find_address() -> str:
    """Return an address with a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"rtmp://127.0.0.1:{found.getsockname()[1]}/live/film"


def wait_for_listener(address: str) -> None:
    """Wait until the port is taken, without connecting: ffmpeg listens for one caller only."""
    port, until = int(address.split(":")[2].split("/")[0]), time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as found:
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {address}")


def run_live(models: Path, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "danmatte", "live", *words, "--models", str(models)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)  # type: ignore[call-overload]


def test_masks_of_an_rtmp_stream_are_written_as_hls(film: Path, models: Path, tmp_path: Path) -> None:
    address, target = find_address(), tmp_path / "masks.m3u8"
    with run_ffmpeg("-re", "-i", str(film), "-c", "copy", "-f", "flv", "-listen", "1", address):
        wait_for_listener(address)
        done = run_live(models, address, str(target), "--segment-s", "1", "--reconnect-s", "1")
    playlist = m3u8.load(str(target))
    assert playlist.is_endlist, done.stderr  # also if the sender disconnects without notice
    assert len(playlist.segments) >= 3
    assert "-->" in (tmp_path / playlist.segments[0].uri).read_text()


class LiveSite:
    """A packager's folder of HLS on one port, whose server can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, 0
        self.start()

    @property
    def address(self) -> str:
        """Where the video's playlist is."""
        return f"http://127.0.0.1:{self._port}/video.m3u8"

    def start(self) -> None:
        handler = partial(SilentHandler, directory=str(self._folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class SilentHandler(SimpleHTTPRequestHandler):
    """Serves files, with one request a connection, so that a stopped server is unreachable at once."""

    protocol_version = "HTTP/1.0"

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def wait_for_file(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} didn't come"
        time.sleep(0.05)


def read_starts(folder: Path) -> list[float]:
    """When each cue of all segments begins, in seconds."""
    lines = [line for path in sorted(folder.glob("masks-*.vtt")) for line in path.read_text().splitlines()]
    starts = {line.split(" --> ")[0] for line in lines if " --> " in line}
    return sorted(sum(float(part) * 60**at for at, part in enumerate(reversed(one.split(":")))) for one in starts)


def test_masks_of_live_hls_continue_after_an_outage_of_its_server(film: Path, models: Path, tmp_path: Path) -> None:
    (tmp_path / "video").mkdir()
    playlist, target = tmp_path / "video" / "video.m3u8", tmp_path / "masks.m3u8"
    packager = "-re -stream_loop 3 -i FILM -c copy -f hls -hls_time 1 -hls_list_size 8 -output_ts_offset 33"
    with run_ffmpeg(*packager.replace("FILM", str(film)).split(), str(playlist)):
        wait_for_file(playlist)
        site = LiveSite(playlist.parent)
        words = ["live", site.address, str(target), "--models", str(models), "--segment-s", "1", "--window", "30"]
        live = subprocess.Popen([sys.executable, "-m", "danmatte", *words], stderr=subprocess.PIPE, text=True)
        try:
            wait_for_file(tmp_path / "masks-000003.vtt")
            site.stop()
            time.sleep(2)  # longer than the playlist's segments: the reader's requests have failed
            site.start()
            _, errors = live.communicate(timeout=90)
        finally:
            live.kill()
            site.stop()
    assert live.returncode == 0, errors
    assert m3u8.load(str(target)).is_endlist
    starts = read_starts(tmp_path)
    assert 33 <= starts[0] < 40  # the stream's own time
    assert starts[-1] > 33 + 4 * SECONDS - 1, "masks end before the stream"
    gaps = [later - sooner for sooner, later in pairwise(starts)]
    assert max(gaps) < 4, errors


def test_a_stream_is_relayed_by_rtmp_with_its_masks(film: Path, models: Path, tmp_path: Path) -> None:
    address, received = find_address(), tmp_path / "received.flv"
    with run_ffmpeg("-listen", "1", "-i", address, "-c", "copy", str(received)):
        wait_for_listener(address)
        done = run_live(models, str(film), address)
        assert done.returncode == 0, done.stderr
    with av.open(str(received)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        frames = list(container.decode(video=0))
    assert len(frames) == 25 * SECONDS
    messages = [read_message(bytes(found)) for frame in frames if (found := frame.side_data.get("SEI_UNREGISTERED"))]
    assert any(messages)


def test_a_stream_is_relayed_from_a_pipe(film: Path, models: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.ts"
    with run_ffmpeg("-re", "-i", str(film), "-c", "copy", "-f", "mpegts", "pipe:1") as sender:
        done = run_live(models, "pipe:0", str(target), stdin=sender.stdout)
    assert done.returncode == 0, done.stderr
    with av.open(str(target)) as container:
        assert len(list(container.decode(video=0))) == 25 * SECONDS
