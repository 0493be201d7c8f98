"""The page while a study is on: the first opinion, the answer, the second opinion, the next case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from page_in_browser import answered, cell_texts, choose, hand_over, measured, opened, ready
from service.serving import running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page
    from service.serving import Running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("study") / "readers.jsonl"


@pytest.fixture(scope="module")
def study(browser: Any, file: Path) -> Iterator[Running]:
    with running(file.parent, "--feedback", file.name, "--workers", 1, model="tiny") as one:
        yield one


def _lines(file: Path, reader: str) -> list[tuple[str, str, str]]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [
        (each["event"], each["case"], each.get("diagnosis", each.get("label")))
        for each in records
        if each.get("reader") == reader
    ]


def _first(page: Page, reader: str, case: str, diagnosis: str) -> None:
    page.fill("#reader", reader)
    page.fill("#case", case)
    page.select_option("#first", diagnosis)
    page.click("#store-first")


def test_the_answer_comes_after_the_first_opinion(browser, study, file, pictures):
    with opened(browser, study) as page:
        ready(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.removeprefix(f"{study.address}/")))
        page.fill("#field-0", "30")
        choose(page, pictures[0])
        page.wait_for_selector("#store-first")
        assert page.locator("#modes, #drop, #many").filter(visible=True).count() == 0
        page.fill("#field-0", "55")  # before the first opinion it asks nothing
        page.wait_for_timeout(500)
        page.click("#store-first")
        assert page.inner_text(".study .wrong") == "Give the reader, the case and a diagnosis."
        assert asked == [] or all(url.startswith("blob:") for url in asked)
        hand_over(page, "paste", pictures[1])
        assert page.inner_text("#trouble") == "Finish this case first, or leave it."
        assert page.locator(".answer, .decision, .heat").count() == 0
        _first(page, "ana", "7", "nv")
        answered(page)
        assert [url for url in asked if url.startswith("v1/")] == ["v1/feedback/first", "v1/predict"]
        assert "Age 55" in page.inner_text(".facts")
        assert page.input_value("#second") == ""
        page.click("#store-second")
        assert "Choose another diagnosis" in page.inner_text(".study .wrong")
        page.select_option("#second", "bkl")
        page.fill("#field-0", "80")
        page.wait_for_selector(".answer[aria-busy=false] .facts:has-text('Age 80')")
        assert page.input_value("#second") == "bkl"  # what was begun is not lost
        label = page.inner_text(".top-class span:nth-child(2)")
        page.click("#store-second")
        page.wait_for_selector("#next-case")
        assert page.inner_text(".study .hint") == (
            "Case 7, reader ana. Before: melanocytic nevus. After: benign keratosis."
        )
        events = _lines(file, "ana")
        assert [event for event, *_ in events] == ["first", "model", "model", "second"]
        assert (events[0], events[-1]) == (("first", "7", "nv"), ("second", "7", "bkl"))
        assert label  # the answer stays in sight


def test_the_next_case_keeps_the_reader_and_nothing_else(browser, study, file, pictures):
    with opened(browser, study) as page:
        ready(page)
        page.fill("#field-0", "55")
        choose(page, pictures[0])
        _first(page, "ben", "1", "do_not_know")
        answered(page)
        assert page.inner_text("#stay") == "I still do not know"
        page.click("#stay")
        page.click("#next-case")
        assert page.evaluate("document.activeElement.id") == "pick"
        assert page.input_value("#field-0") == ""
        choose(page, pictures[1])
        page.wait_for_selector("#store-first")
        assert [page.input_value(each) for each in ("#reader", "#case", "#first")] == ["ben", "", ""]
        _first(page, "ben", "1", "do_not_know")
        page.wait_for_selector(".study .wrong:has-text('ben has finished case 1. Name another one.')")
        _first(page, "ben", "1", "mel")
        page.wait_for_selector(".study .wrong:has-text('a first opinion stays')")
        assert page.locator(".answer").count() == 0
        _first(page, "ben", "2", "mel")
        answered(page)
        assert page.inner_text("#stay") == "I stay with melanoma"
        page.reload()
        ready(page)
        choose(page, pictures[1])
        page.wait_for_selector("#store-first")
        assert page.input_value("#reader") == "ben"  # the tab keeps it
        _first(page, "ben", "2", "mel")
        answered(page)
        page.focus("#stay")
        page.keyboard.press("Enter")
        page.wait_for_selector("#next-case")
        model = _lines(file, "ben")[1][2]
        assert _lines(file, "ben")[:3] == [
            ("first", "1", "do_not_know"), ("model", "1", model), ("second", "1", "do_not_know")
        ]  # fmt: skip
        assert [event for event, case, _ in _lines(file, "ben") if case == "2"] == ["first", "model", "second"]
        page.click("#next-case")
        hand_over(page, "drop", *pictures[:2])
        assert page.inner_text("#trouble") == "A case is one picture."


def test_a_study_is_small(browser, study):
    sizes: dict[str, int] = {}
    context = browser.new_context()
    page = context.new_page()
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto(f"{study.address}/")
    ready(page)
    page.wait_for_selector("#modes", state="hidden")
    page.wait_for_load_state("networkidle")  # what came last may not be counted yet
    own_files = sum(size for url, size in sizes.items() if not url.endswith("/v1/model"))
    measured(f"first load of a study: {own_files} bytes of its own, {sum(sizes.values())} in all")
    assert any(url.endswith("/study.js") for url in sizes)
    assert own_files < 88_200  # with what the box's file says of itself, 11.8 kB, below 100 kB
    context.close()


def test_a_study_is_for_everyone(browser, study, pictures):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")

    def is_fine(page: Page) -> None:
        found = axe.Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
        for width in (320, 768, 1600):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width

    with opened(browser, study, color_scheme="light", reduced_motion="reduce") as page:
        ready(page)
        choose(page, pictures[0])
        page.wait_for_selector("#store-first")
        page.click("#store-first")
        is_fine(page)
        options = cell_texts(page, "#first option")
        assert (options[0], options[-1], len(options)) == ("choose …", "I do not know", 9)
        _first(page, "dora", "1", "akiec")
        answered(page)
        page.click("#store-second")
        page.emulate_media(color_scheme="dark")
        is_fine(page)
