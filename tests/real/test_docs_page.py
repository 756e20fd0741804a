"""The page of the description in a real Chromium: it lists all operations, and sends requests."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import pictures

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(chromium: object, address: str) -> Iterator[object]:
    """The page; an error on it, or anything its policy refuses, fails the test."""
    opened = chromium.new_page(viewport={"width": 1000, "height": 900})
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.goto(f"{address}/docs")
    opened.wait_for_selector("details")
    yield opened
    assert [text for text in errors if "favicon" not in text and "404" not in text] == []


def open_card(page: object, method: str, path: str) -> object:
    """The card of an operation, with its form."""
    card = (
        page.locator("main > details")
        .filter(has=page.get_by_text(path, exact=True))
        .filter(has=page.locator(f"summary .{method}"))
    )
    card.locator("> summary").click()
    card.locator("form").wait_for()
    return card


def test_every_operation_is_listed(page: object) -> None:
    count = page.evaluate(
        "fetch('openapi.json').then((answer) => answer.json())"
        ".then(({ paths }) => Object.values(paths).flatMap((methods) => Object.keys(methods)).length)"
    )
    assert page.locator("main > details").count() == count > 20


def test_a_picture_is_sent_and_its_mask_shown(page: object, tmp_path: Path) -> None:
    frame = tmp_path / "frame.jpg"
    frame.write_bytes(pictures.encoded(".jpg", pictures.rectangle(90, 160)))
    card = open_card(page, "post", "/v1/mattes")
    card.locator("input[type=file]").set_input_files(frame)
    card.get_by_role("button", name="Send").click()
    shown = card.locator("output img")
    shown.wait_for()
    assert "200" in card.locator("output pre").inner_text()
    page.wait_for_function("image => image.naturalWidth === 160", arg=shown.element_handle())


def test_parameters_are_prefilled_and_responses_shown(page: object) -> None:
    card = open_card(page, "get", "/v2/models/{name}")
    assert card.locator("input").input_value() == "toy"
    card.get_by_role("button", name="Send").click()
    page.wait_for_function("output => /UINT8/.test(output.textContent)", arg=card.locator("output").element_handle())


def test_the_example_of_a_body_has_every_required_field(page: object) -> None:
    card = open_card(page, "post", "/v2/models/{name}/infer")
    assert re.search(r'"inputs": \[\s*\{\s*"name"', card.locator("textarea").input_value())
