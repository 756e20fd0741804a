"""Common clients, unmodified: requests, Node's fetch, KServe's clients, and pages of another origin.

Triton's, TensorFlow Serving's and OVMS' clients are fast tests (`tests/service/api`); nginx and Prometheus are beside
this one and in `tests/service/cluster`.
"""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from PIL import Image

from danmatte.http.tokens import derive_secret, make_token
from danmatte.messages import Offer
from tests.real.browser import open_browser
from tests.real.static_server import serve_folder
from tests.service.serving import program

pytestmark = pytest.mark.slow
NODE = shutil.which("node")
KSERVE = os.environ.get("DANMATTE_KSERVE", "")  # a Python that has KServe, which needs other versions of libraries
SIZE = "?width=160&height=90"


@dataclass(frozen=True)
class Site:
    """A service with keys, a page of another origin that it allows, and one that it doesn't."""

    service: str
    page: str
    foreign: str
    token: str


def is_mask(data: bytes) -> bool:
    """Return whether it is a PNG of the requested size."""
    with Image.open(io.BytesIO(data)) as mask:
        return (mask.format, mask.size) == ("PNG", (160, 90))


def test_requests_posts_a_body_a_file_and_a_form(models: Path, jpeg: bytes) -> None:
    with program(models) as (_, address), requests.Session() as session:
        url = f"{address}/v1/mattes{SIZE}"
        whole = session.post(url, data=jpeg, timeout=30)
        file = session.post(url, data=io.BytesIO(jpeg), headers={"Content-Type": "image/jpeg"}, timeout=30)
        one = session.post(url, files={"frame": ("frame.jpg", jpeg, "image/jpeg")}, timeout=30)
        parts = [("frame", (f"{number}.jpg", jpeg, "image/jpeg")) for number in range(2)]
        two = session.post(url, files=parts, timeout=30)
        chunked = session.post(url, data=iter([jpeg[:1000], jpeg[1000:]]), timeout=30)
        for answer in (whole, file, one, chunked):
            assert answer.status_code == 200
            assert is_mask(answer.content)
        assert two.headers["Content-Type"].startswith("multipart/mixed")
        refused = session.post(url, data=b"none", timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")
        with session.post(url, data=jpeg, stream=True, timeout=30) as streamed:
            assert is_mask(b"".join(streamed.iter_content(100)))


SCRIPT = """
const [address, file] = process.argv.slice(1);
const jpeg = (await import("node:fs")).readFileSync(file);
const url = `${address}/v1/mattes?width=160&height=90`;
const post = async (body, headers) => {
    const answer = await fetch(url, { method: "POST", body, headers, duplex: "half" });
    return [answer.status, answer.headers.get("content-type"), (await answer.arrayBuffer()).byteLength > 50];
};
const form = new FormData();
form.append("frame", new Blob([jpeg], { type: "image/jpeg" }), "frame.jpg");
const stream = new ReadableStream({ start(queue) { queue.enqueue(jpeg); queue.close(); } });
console.log(JSON.stringify({
    buffer: await post(jpeg, { "content-type": "image/jpeg" }),
    blob: await post(new Blob([jpeg], { type: "image/jpeg" })),
    form: await post(form),
    stream: await post(stream),
    many: (await Promise.all(Array.from({ length: 16 }, () => post(jpeg)))).filter(([status]) => status === 200).length,
    refused: (await (await fetch(url, { method: "POST", body: "none" })).json()).code,
}));
"""


@pytest.mark.skipif(not NODE, reason="needs Node")
def test_nodes_fetch_posts_every_kind_of_body(models: Path, jpeg: bytes, tmp_path: Path) -> None:
    frame = tmp_path / "frame.jpg"
    frame.write_bytes(jpeg)
    with program(models, "--max-wait-s", "10") as (_, address):
        command = [str(NODE), "--input-type=module", "-e", SCRIPT, address, str(frame)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    masks = {name: found.pop(name) for name in ("buffer", "blob", "form", "stream")}
    assert all(answer == [200, "image/png", True] for answer in masks.values()), masks
    assert found == {"many": 16, "refused": "unsupported_media_type"}


KSERVE_SCRIPT = """
import asyncio, json, sys
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig

rest_address, grpc_port = sys.argv[1:]
pixels = np.full((1, 96, 160, 3), 51, np.uint8)

def build(binary):
    frame = InferInput("frame", list(pixels.shape), "UINT8")
    frame.set_data_from_numpy(pixels, binary_data=binary)
    return InferRequest(model_name="toy", infer_inputs=[frame])

async def main():
    rest = InferenceRESTClient(RESTConfig(protocol="v2", timeout=60))
    found = {
        "live": await rest.is_server_live(rest_address),
        "ready": await rest.is_server_ready(rest_address),
        "model": await rest.is_model_ready(rest_address, "toy"),
    }
    found["shades"] = []
    for binary in (True, False):
        answer = await rest.infer(rest_address, build(binary), model_name="toy")
        found["shades"].append(float(answer.outputs[0].as_numpy().mean()))
    async with InferenceGRPCClient(f"127.0.0.1:{grpc_port}") as grpc:
        found["grpc_ready"] = [await grpc.is_server_ready(), await grpc.is_model_ready("toy")]
        for binary in (True, False):
            answer = await grpc.infer(build(binary))
            found["shades"].append(float(answer.outputs[0].as_numpy().mean()))
    print(json.dumps(found))

asyncio.run(main())
"""


@pytest.mark.skipif(not KSERVE, reason="needs a Python with KServe, named by DANMATTE_KSERVE")
def test_kserves_clients_are_served(models: Path, unused_tcp_port: int) -> None:
    with program(models, "--grpc-port", str(unused_tcp_port)) as (_, address):
        command = [KSERVE, "-c", KSERVE_SCRIPT, address, str(unused_tcp_port)]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=clean)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("shades") == pytest.approx([0.2] * 4)
    assert found == {"live": True, "ready": True, "model": True, "grpc_ready": [True, True]}


@pytest.fixture
def site(models: Path, tmp_path: Path) -> Iterator[Site]:
    """Run a service with keys, and serve a page of an allowed origin and one of another."""
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    keys = tmp_path / "keys.toml"
    digest, secret = hashlib.sha256(b"secret").hexdigest(), derive_secret("secret")
    keys.write_text(f'[site]\ndigest = "sha256:{digest}"\ntokens = "hmac:{secret}"\n')
    with serve_folder(folder) as page, serve_folder(folder) as foreign:
        flags = ("--origins", page, "--keys", str(keys))
        with program(models, *flags) as (_, address):
            token = make_token("secret", "site", subject="viewer", scope=("mattes", "live"), seconds=600)
            yield Site(address, page, foreign, token)


POST = """async ({ service, token, frame }) => {
    const body = Uint8Array.from(atob(frame), (each) => each.charCodeAt(0));
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    try {
        const answer = await fetch(`${service}/v1/mattes?width=160&height=90`, { method: "POST", body, headers });
        const kind = answer.headers.get("content-type");
        const coverage = answer.headers.get("x-person-coverage") !== null;
        return [answer.status, kind, coverage, kind === "image/png" ? "" : (await answer.json()).code];
    } catch (error) {
        return [error.name];
    }
}"""
LIVE = """({ service, token, frame }) => new Promise((settle) => {
    const body = Uint8Array.from(atob(frame), (each) => each.charCodeAt(0));
    const query = token ? `?token=${encodeURIComponent(token)}` : "";
    const socket = new WebSocket(`${service.replace("http", "ws")}/v1/stream${query}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(body);
    socket.onmessage = ({ data }) => settle(data.byteLength > 50 ? "mask" : "short");
    socket.onerror = () => settle("refused");
})"""


@contextmanager
def open_page(address: str) -> Iterator[object]:
    """Open a page of that origin in Chromium."""
    with open_browser() as browser:
        page = browser.new_page()
        page.goto(address)
        yield page


def test_a_page_of_an_allowed_origin_is_served_with_a_token(site: Site, jpeg: bytes) -> None:
    given = {"service": site.service, "token": site.token, "frame": base64.b64encode(jpeg).decode()}
    offered = given | {"frame": base64.b64encode(Offer(7.0, jpeg).pack()).decode()}
    with open_page(site.page) as page:
        assert page.evaluate(POST, given) == [200, "image/png", True, ""]
        assert page.evaluate(POST, given | {"token": ""})[0::3] == [401, "unauthorized"]  # which the page may read
        assert page.evaluate(LIVE, offered) == "mask"
        assert page.evaluate(LIVE, offered | {"token": ""}) == "refused"
        page.goto(site.foreign)
        assert page.evaluate(POST, given) == ["TypeError"]  # the browser hides everything
        assert page.evaluate(LIVE, offered) == "refused"
