"""The workbench's pages in a real Chromium, narrow and wide: nothing overflows, and no network is used."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from danmatte_workbench.report import page, run_page
from danmatte_workbench.report.comparison import compare_runs, render_comparison
from danmatte_workbench.report.records import read_run
from tests.real import browser
from tests.workbench.report import rundir
from tests.workbench.report.test_run_page import HOSTILE, reject_all

pytestmark = pytest.mark.slow
WIDTHS = (390, 1440)

# Where texts of one plot cover each other, or leave it, in the browser's own measure.
COLLISIONS = """
(svg) => {
  const frame = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll("text")].map((node) => [node.textContent, node.getBoundingClientRect()]);
  const found = [];
  boxes.forEach(([name, box], number) => {
    if (box.left < frame.left - 12 || box.right > frame.right + 12) found.push([name, "leaves"]);
    for (const [other, second] of boxes.slice(number + 1)) {
      const wide = Math.min(box.right, second.right) - Math.max(box.left, second.left);
      const high = Math.min(box.bottom, second.bottom) - Math.max(box.top, second.top);
      if (wide > 1 && high > 3) found.push([name, other]);
    }
  });
  return found;
}
"""

# WCAG's contrast of every text with what is behind it; colours behind are laid over each other.
CONTRASTS = """
() => {
  const colour = (text) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
  };
  const light = ([r, g, b]) => [r, g, b]
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (node) => {
    const own = colour(getComputedStyle(node).backgroundColor);
    if (own[3] === 1 || !node.parentElement) return own;
    const under = behind(node.parentElement);
    return [0, 1, 2].map((part) => own[part] * own[3] + under[part] * (1 - own[3])).concat(1);
  };
  const low = [];
  for (const node of document.querySelectorAll("body *:not(script):not(.shot span)")) {
    const words = [...node.childNodes].filter((child) => child.nodeType === 3 && child.data.trim());
    if (!words.length || !node.checkVisibility() || node.closest("svg")) continue;
    const [one, other] = [light(colour(getComputedStyle(node).color)), light(behind(node))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) low.push([node.className, words[0].data.trim().slice(0, 30), ratio]);
  }
  return low;
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    with browser.open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A usual run, one without a winner, one with hostile names, and two compared."""
    folder = tmp_path_factory.mktemp("runs")

    def hostile(facts: dict) -> None:
        facts["source"]["name"] = facts["command"][2] = HOSTILE * 3
        facts["trials"][9]["name"] = facts["winner"] = HOSTILE * 3
        facts["layers"]["after"][0]["name"] = facts["sweep"][0]["who"] = HOSTILE * 3

    changes = {"usual": lambda _: None, "lost": reject_all, "hostile": hostile}
    found = {name: run_page.write_report(rundir.write(folder / name, change)) for name, change in changes.items()}
    both = compare_runs(read_run(folder / "usual"), read_run(folder / "lost"))
    return found | {"compared": page.write_page(render_comparison(both), folder / "compared.html")}


@pytest.fixture
def opened(chromium: object, pages: dict[str, Path]) -> Iterator[object]:
    """Opens a page at a width and in a theme; any network request, error or message fails the test."""
    troubles: list[str] = []
    contexts = []

    def open_tab(name: str, width: int, *, scheme: str = "light", scripts: bool = True) -> object:
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: troubles.append(str(error)))
        tab.on("console", lambda message: troubles.append(message.text))
        tab.on("dialog", lambda dialog: troubles.append(f"dialog {dialog.message}"))
        tab.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else troubles.append(request.url),
        )
        tab.goto(pages[name].as_uri())
        return tab

    yield open_tab
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["usual", "lost", "hostile", "compared"])
def test_pages_need_no_horizontal_scrolling_and_load_all_images(opened: object, name: str, width: int) -> None:
    tab = opened(name, width)
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["usual", "lost", "hostile"])
def test_labels_in_a_plot_do_not_overlap(opened: object, name: str, width: int) -> None:
    tab = opened(name, width)
    plots = tab.locator("svg.plot:visible:not(.inline)")
    assert plots.count() == 5
    for number in range(plots.count()):
        assert plots.nth(number).evaluate(COLLISIONS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["usual", "lost", "compared"])
def test_texts_have_sufficient_contrast(opened: object, name: str, scheme: str) -> None:
    assert opened(name, 1440, scheme=scheme).evaluate(CONTRASTS) == []


def test_trials_sort_by_a_column_and_baselines_stay(opened: object) -> None:
    tab = opened("usual", 1440)
    heading = tab.locator("#trials thead th").filter(has_text="Latency")
    column = tab.locator("#trials thead th").evaluate_all(
        "(all) => all.findIndex((th) => /Latency/.test(th.textContent))"
    )
    rows = f"""[...document.querySelectorAll("#trials tbody:not(.baselines) tr")]
      .map((row) => row.cells[{column}].dataset.value ?? null)"""
    for direction, ordered in (("ascending", sorted), ("descending", lambda all_: sorted(all_, reverse=True))):
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == direction
        found = tab.evaluate(rows)
        known = [float(value) for value in found if value is not None]
        assert known == ordered(known)
        assert found[len(known) :] == [None] * (len(found) - len(known))
    assert tab.locator("#trials tbody").first.locator("tr").count() == 4


def test_the_winner_is_laid_over_the_source(opened: object) -> None:
    tab = opened("usual", 1440)
    tab.get_by_role("button", name="Lay the winner over the source").click()
    boxes = [tab.locator(f"#frame-1 .{kind}").bounding_box() for kind in ("source", "winner")]
    assert boxes[0] == boxes[1]
    slider = tab.locator("#frame-1 input[type=range]")
    slider.focus()
    slider.press("Home")
    assert (
        tab.locator("#frame-1 .winner").evaluate("(node) => getComputedStyle(node).clipPath") == "inset(0px 0px 0px 0%)"
    )


def test_the_command_can_be_copied_and_the_facts_downloaded(
    opened: object, pages: dict[str, Path], tmp_path: Path
) -> None:
    tab = opened("usual", 390)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.get_by_role("button", name="Copy").click()
    tab.get_by_role("button", name="Copied").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()").startswith("workbench optimize deeplab")
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Everything as JSON").click()
    download.value.save_as(tmp_path / "run.json")
    kept = json.loads(pages["usual"].with_name("run.json").read_text("utf-8"))
    assert json.loads((tmp_path / "run.json").read_text("utf-8")) == kept


def test_without_scripts_all_content_is_shown_and_no_controls(opened: object) -> None:
    tab = opened("usual", 1440, scripts=False)
    assert tab.locator("button:visible, input:visible").count() == 0
    assert tab.locator("#trials tbody tr").count() == 4 + len(rundir.content()["trials"])
    assert tab.locator(".shot:visible").count() == 5 * len(rundir.FRAMES)  # the label, too


def test_the_content_security_policy_blocks_foreign_scripts(chromium: object, pages: dict[str, Path]) -> None:
    tab = chromium.new_page()
    tab.goto(pages["usual"].as_uri())
    tab.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
          const image = document.createElement("img");
          image.setAttribute("onerror", "window.ran = true");
          image.src = "data:image/png,broken";
          document.body.append(image);
        }"""
    )
    tab.wait_for_timeout(200)
    assert tab.evaluate("window.ran === undefined")
    tab.close()


def test_tables_and_masks_can_be_reached_by_keyboard(opened: object) -> None:
    tab = opened("usual", 390)
    reached = set()
    for _ in range(80):
        tab.keyboard.press("Tab")
        reached.add(
            tab.evaluate("document.activeElement.closest('section, nav')?.id || document.activeElement.tagName")
        )
    assert {"trials", "masks"} <= reached


def test_the_page_prints_on_white_without_buttons(opened: object) -> None:
    tab = opened("usual", 1440, scheme="dark")
    tab.emulate_media(media="print", color_scheme="dark")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.locator("button:visible").count() == 0
    assert len(tab.pdf()) > 50_000
