"""Masks stay on people however a page turns, mirrors, scales and crops the video, in a real Chromium.

The same frame is taken twice, without comments and with them: comments must be where the box isn't, and nowhere else.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from tests.real import browser
from tests.service.toy import Toy

pytestmark = pytest.mark.slow

HARNESS = """<!doctype html>
<style>
  body { margin: 0; background: #000; height: 600px; overflow: hidden }
  #around { position: absolute; left: 130px; top: 120px }
  #player { position: relative; width: 480px; height: 270px }
  video { width: 100%; height: 100%; display: block }
  #layer { position: absolute; inset: 0; background: #f0f }
</style>
<style id=more></style>
<div id=around><div id=player><video id=video muted></video><div id=layer></div></div></div>
<script type=module>
  import { attach } from "/danmatte.js";
  video.src = URL.createObjectURL(await (await fetch("/film.webm")).blob());
  window.handle = attach(video, layer, { track: "/film.mattes" });
  video.addEventListener("loadeddata", () => (video.currentTime = 1.02), { once: true });
</script>"""
FRAME_MS = 1000
STYLES = {
    "as it is": "",
    "mirrored video": "video { transform: scaleX(-1) }",
    "mirrored player": "#player { transform: scaleX(-1) }",
    "upside down": "video { transform: scaleY(-1) }",
    "turned by a quarter": "video { transform: rotate(90deg) }",
    "turned player": "#player { transform: rotate(20deg) }",
    "turned video under an upright layer": "video { rotate: 8deg; scale: 0.8 }",
    "sheared": "video { transform: skewX(15deg) scale(0.7) }",
    "matrix and origin": "video { transform: matrix(0.6, 0.2, -0.3, 0.7, 20, 10); transform-origin: 10% 90% }",
    "transforms within transforms": (
        "#around { transform: rotate(-10deg) scale(0.9) } video { transform: scale(-0.8, 0.9) rotate(5deg) }"
    ),
    "layer of another scale": "#layer { width: 960px; height: 540px; transform: scale(0.5); transform-origin: 0 0 }",
    "page zoom": "#around { zoom: 1.3; left: 20px; top: 20px }",
    "zoomed video": "video { zoom: 0.8 }",
    "turned in space": "#around { perspective: 900px } #player { transform: rotateY(35deg) }",
    "half turn in space": "video { transform: rotateY(180deg) }",
    "cropped and mirrored": "video { object-fit: cover; width: 300px; height: 270px; transform: scaleX(-1) }",
    "borders, padding, position": (
        "video { object-fit: none; object-position: 10px 90%; border: 7px solid #000; padding: 5px 9px;"
        " box-sizing: border-box; transform: rotate(3deg) }"
    ),
    "parts of pixels": "#player { width: 479.6px; height: 269.7px; left: 0.3px; top: 0.4px }",
}


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy(96, 160, rule="stretch")


@pytest.fixture(scope="module")
def page(chromium: object, address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    folder = tmp_path_factory.mktemp("film")
    browser.write_film(folder / "film.webm")
    browser.write_track(folder / "film.mattes")
    bodies = {"test.html": HARNESS, **{path.name: path.read_bytes() for path in folder.glob("film.*")}}
    opened = chromium.new_page(viewport={"width": 760, "height": 600})
    opened.route("**/*", browser.route_files(bodies))
    opened.goto(f"{address}/test.html")
    browser.wait_until(opened, f"window.handle?.stats.state === 'masked' && handle.stats.pts === {FRAME_MS}")
    yield opened
    opened.close()


def take_pixels(page: object, style: str, layer: str) -> np.ndarray:
    """The page's pixels with this style, once the browser has painted them."""
    page.evaluate("([text, shown]) => { more.textContent = text; layer.style.visibility = shown }", [style, layer])
    page.evaluate("new Promise((done) => requestAnimationFrame(() => (handle.refresh(), setTimeout(done, 120))))")
    return browser.decode_picture(page.screenshot()).astype(int)


@pytest.mark.parametrize("name", STYLES)
def test_the_mask_covers_the_person_as_displayed(page: object, name: str) -> None:
    bare = take_pixels(page, STYLES[name], "hidden")
    worn = take_pixels(page, STYLES[name], "visible")
    person = bare.min(-1) > 180
    assert np.count_nonzero(person) > 2000, "the person is on the screen"
    comments = (worn[..., 0] > 180) & (worn[..., 1] < 120) & (worn[..., 2] > 180)
    left = person & (worn.min(-1) > 180)
    assert np.count_nonzero(left) > 0.97 * np.count_nonzero(person), "comments cover the person"
    hole = ~comments & layer_of(page, worn.shape)
    assert np.count_nonzero(hole & ~person) < 0.06 * np.count_nonzero(person), "comments are missing beside the person"


def layer_of(page: object, shape: tuple[int, ...]) -> np.ndarray:
    """Where the layer's comments would be without any mask."""
    page.evaluate("window.kept = layer.style.clipPath, layer.style.clipPath = 'none'")
    pixels = browser.decode_picture(page.screenshot()).astype(int)
    page.evaluate("layer.style.clipPath = kept")
    assert pixels.shape == shape
    return (pixels[..., 0] > 180) & (pixels[..., 1] < 120) & (pixels[..., 2] > 180)
