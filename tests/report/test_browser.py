"""The page in a real browser: on a phone and on a desk, in light and dark, on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap.report.page import html
from tests.lab.browser import Browser, chromium
from tests.lab.waiting import until
from tests.report.conftest import made_up


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html(made_up(3), "zh"))
    return path


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_is_drawn_without_an_error_or_a_request(browser: Browser, page: Path, width: int, dark: bool) -> None:
    looked = browser.look(page, width=width, dark=dark)
    assert looked.messages == []
    assert looked.requests == [page.as_uri()]
    assert looked.png.startswith(b"\x89PNG")
    assert browser.run("document.documentElement.scrollWidth") == width  # nothing is wider than the page
    assert browser.run("document.querySelectorAll('.plot').length") >= 6
    assert browser.run(
        "[...document.querySelectorAll('.plot canvas')].filter(drawn).length".replace("drawn", DRAWN)
    ) == (browser.run("document.querySelectorAll('.plot').length"))
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(15, 19, 24)" if dark else "rgb(255, 255, 255)")


DRAWN = """(canvas => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return data.some(value => value !== 0);
})"""


MARKER = "getComputedStyle(document.querySelectorAll('.u-legend .u-marker')[1]).borderTopColor"


def test_the_plots_follow_the_window_and_the_scheme(browser: Browser, page: Path) -> None:
    browser.look(page, width=1440)
    wide = browser.run("document.querySelector('.plot .uplot canvas').clientWidth")
    light = browser.run(MARKER)
    browser.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True)
    until(lambda: browser.run("document.querySelector('.plot .uplot canvas').clientWidth") < min(wide, 391))
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    until(lambda: browser.run(MARKER) != light)
    assert browser.run("document.querySelectorAll('.uplot').length") == browser.run(
        "document.querySelectorAll('.plot').length"
    )


def test_a_link_opens_the_log_that_it_leads_into(browser: Browser, page: Path) -> None:
    browser.look(page, width=1440)
    assert browser.run("[...document.querySelectorAll('details')].map(one => one.open)") == [False, True, False]
    browser.run("void (location.hash = '#n2-L1')")
    until(lambda: browser.run("[...document.querySelectorAll('details')].map(one => one.open)") == [False, True, True])


def test_on_paper_it_is_light_whatever_the_screen_is(browser: Browser, page: Path) -> None:
    browser.look(page, width=1440, dark=True, media="print")
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.pdf().startswith(b"%PDF")
    assert browser.run("[...document.querySelectorAll('details')].every(one => one.open)")  # paper has no clicks
