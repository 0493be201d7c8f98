"""The page for every reader: keyboard, screen reader, paper, phone, dark room, another language."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from page_in_browser import answered, choose, opened, ready

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def _empty(page: Page, pictures: list[Path]) -> None:
    page.click("summary")


def _answered(page: Page, pictures: list[Path]) -> None:
    page.fill("#field-0", "55")
    choose(page, pictures[0])
    answered(page)


def _several(page: Page, pictures: list[Path]) -> None:
    _answered(page, pictures)
    page.click("#new-patient")
    choose(page, *pictures[:3])
    answered(page)
    page.fill("#field-0", "999")
    page.wait_for_selector("[aria-invalid=true]")


def _table(page: Page, pictures: list[Path]) -> None:
    choose(page, *pictures, pictures[0].with_name("letter.jpg"))
    page.wait_for_selector("#download")


def _error(page: Page, pictures: list[Path]) -> None:
    choose(page, pictures[0].with_name("letter.jpg"))
    page.wait_for_selector(".problem")


def _token(page: Page, pictures: list[Path]) -> None:
    page.route("**/v1/predict", lambda route: route.fulfill(status=401, body="{}"))
    choose(page, pictures[0])
    page.wait_for_selector("#token")


STATES: dict[str, Callable[[Page, list[Path]], None]] = {
    "empty": _empty,
    "answered": _answered,
    "several": _several,
    "table": _table,
    "error": _error,
    "token": _token,
}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_and_nothing_overflows(browser, service, pictures, state, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    pictures[0].with_name("letter.jpg").write_text("Dear colleague")
    with opened(browser, service, color_scheme=theme, reduced_motion="reduce") as page:
        ready(page)
        STATES[state](page, pictures)
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        for width in (320, 768, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{wide} px of content in {width} px"
            assert page.locator(".notice").is_visible()


def test_paper_has_one_page_with_all_of_it(browser, service, pictures):
    with opened(browser, service, color_scheme="dark") as page:
        ready(page)
        _answered(page, pictures)
        page.focus("#between")
        page.keyboard.press("Home")  # the heat map is on paper all the same
        paper = page.pdf(prefer_css_page_size=True)
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1
        page.emulate_media(media="print")
        for name in (".decision", ".classes", ".changes", ".words", ".facts", ".notice", ".blank-line"):
            assert page.locator(name).is_visible(), name
        for name in (".ask", ".top", "#print", "#between"):
            assert not page.locator(name).is_visible(), name
        assert page.locator(".answer .frame:visible").count() == 2
        canvas = page.locator(".answer .frame:visible .heat")
        assert canvas.evaluate("each => getComputedStyle(each).opacity") == "1"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_keyboard_is_enough(browser, service, pictures):
    with opened(browser, service) as page:
        ready(page)

        def tab_to(name: str) -> None:
            for _ in range(40):
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.id") == name:
                    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                    assert outline == "solid", f"{name} shows no focus"
                    return
            raise AssertionError(f"Tab does not come to {name}")

        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        with page.expect_file_chooser() as chooser:
            tab_to("pick")
            page.keyboard.press("Enter")
        chooser.value.set_files(pictures[0])
        answered(page)
        tab_to("field-0")
        page.keyboard.type("55")
        # A slow hand's first digit is answered too: wait for the answer to both.
        page.wait_for_selector(".answer[aria-busy=false] .facts:has-text('Age 55')")
        assert page.evaluate("document.activeElement.id") == "field-0"
        tab_to("between")
        page.keyboard.press("End")
        tab_to("target")
        before = page.get_attribute(".answer .heat", "aria-label")
        page.keyboard.press("ArrowDown")
        page.wait_for_selector(f".answer[aria-busy=false] .heat:not([aria-label='{before}'])")
        assert page.evaluate("document.activeElement.id") == "target"
        tab_to("print")
        tab_to("remove")
        page.keyboard.press("Space")
        assert page.locator(".answer").count() == 0
        page.focus("[value=patient]")
        page.keyboard.press("ArrowRight")
        assert page.locator("#folder").is_visible()


def test_a_phone_photographs(browser, service):
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True}
    with opened(browser, service, **phone) as page:
        ready(page)
        with page.expect_file_chooser():
            page.tap("#photograph")
        assert page.get_attribute("#camera", "capture") == "environment"


def test_a_language_is_one_file_more(browser, service, pictures):
    context = browser.new_context(locale="de-AT")
    page = context.new_page()
    own = page.request.get(f"{service.address}/").text().replace('data-languages="en"', 'data-languages="de en"')
    version = re.search(r"page/\w+/", own)[0]
    german = page.request.get(f"{service.address}/{version}texts.en.js").text().replace("'Choose pictures'", "'Wählen'")
    page.route(f"{service.address}/", lambda route: route.fulfill(body=own, content_type="text/html"))
    page.route("**/texts.de.js", lambda route: route.fulfill(body=german, content_type="text/javascript"))
    page.goto(f"{service.address}/")
    ready(page)
    choose(page, pictures[0])
    answered(page)
    assert page.get_attribute("html", "lang") == "de"
    assert page.inner_text("#pick") == "Wählen"
    assert re.search(r"\d,\d\s%", page.inner_text(".classes"))
    assert page.get_attribute(".words p", "lang") == "en"
    context.close()
