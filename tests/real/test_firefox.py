"""The client of WebDriver BiDi, beside the Firefox that it drives."""

import pytest

from tests.real.browser import decode_picture
from tests.real.firefox import open_firefox

pytestmark = pytest.mark.slow


def test_a_page_is_opened_evaluated_and_captured() -> None:
    with open_firefox() as firefox:
        page = firefox.new_page(viewport={"width": 320, "height": 200})
        page.goto("data:text/html,<title>red</title><body style='background:red'>")
        assert page.evaluate("document.title") == "red"
        assert page.evaluate("async ([one, two]) => one + two", [1, 2]) == 3
        assert page.evaluate("undefined") is None
        with pytest.raises(AssertionError, match="no such thing"):
            page.evaluate("(() => { throw new Error('no such thing'); })()")
        pixels = decode_picture(page.screenshot())
        assert pixels.shape == (200, 320, 3)
        assert pixels[100, 100].tolist() == [255, 0, 0]
        page.close()
