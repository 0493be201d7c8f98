"""The page in a real browser, before the real service."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from page_in_browser import answered, cell_texts, choose, hand_over, measured, opened, ready
from PIL import Image

from dermedge_runtime import Classifier, Prediction, model_in_the_box
from dermedge_runtime.explanation import colours, enlarge

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = pytest.mark.slow
NOTICE = "Research use only. Not a medical device, not for diagnosis."


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(model_in_the_box("tiny"), "cpu")


def test_first_load_is_small_and_kept(browser, service):
    sizes: dict[str, int] = {}
    context = browser.new_context()
    page = context.new_page()
    page.on("response", lambda response: sizes.update({response.url: len(response.body())}))
    page.goto(f"{service.address}/")
    ready(page)
    own_files = sum(size for url, size in sizes.items() if not url.endswith("/v1/model"))
    measured(f"first load: {own_files} bytes of its own, {sum(sizes.values())} in all, in {len(sizes)} requests")
    assert own_files < 85_000  # what the model file says of itself comes to it: 10 to 20 kB
    begun = len(sizes)
    sizes.clear()
    asked: list[str] = []
    page.on("requestfinished", lambda request: asked.append(request.url))
    page.reload()
    ready(page)
    own = page.request.get(f"{service.address}/")
    again = page.request.get(f"{service.address}/", headers={"If-None-Match": own.headers["etag"]})
    script = page.request.get(next(url for url in asked if url.endswith("/main.js")))
    assert begun < 30
    assert (own.status, again.status) == (200, 304)
    assert own.headers["cache-control"] == "no-cache"
    assert "immutable" in script.headers["cache-control"]
    context.close()


def test_the_answer_is_the_runtimes(browser, service, pictures, classifier):
    expected = classifier.predict(pictures[0], age=55, sex="male", site="back")
    with opened(browser, service) as page:
        ready(page)
        page.fill("#field-0", "55")
        page.select_option("#field-1", "male")
        page.select_option("#field-2", "back")
        choose(page, pictures[0])
        answered(page)
        assert page.inner_text("#verdict").lower() == expected.decision
        reasons = cell_texts(page, ".decision li")
        assert [reason.lower().rstrip(".") for reason in reasons] == [each.lower() for each in expected.reasons]
        codes = sorted(expected.probabilities, key=lambda code: -expected.probabilities[code])
        assert cell_texts(page, ".classes th span:first-child") == [expected.class_names[code] for code in codes]
        shares = [float(text.rstrip("%")) for text in cell_texts(page, ".classes td")]
        assert shares == pytest.approx([100 * expected.probabilities[code] for code in codes], abs=0.51)
        kept = cell_texts(page, ".classes tr.possible th span:first-child")
        assert kept == [expected.class_names[code] for code in expected.prediction_set]
        assert expected.explanation_text in page.inner_text(".words")
        facts = page.inner_text(".facts")
        assert all(
            text in facts
            for text in (
                expected.model,
                expected.model_sha256,
                "300 \N{MULTIPLICATION SIGN} 200",
                "Age 55",
                "Site back",
            )
        )
        first, second = (page.locator(name).bounding_box()["y"] for name in (".decision", ".classes"))
        assert first < second
        assert page.inner_text(".notice") == NOTICE
        assert page.locator(".notice").bounding_box()["y"] >= 0
        page.mouse.wheel(0, 5000)
        assert page.locator(".notice").bounding_box()["y"] >= 0
        assert page.inner_text("#said").startswith(pictures[0].name)
        assert "undefined" not in page.inner_text("body")


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_pictures_come_by_other_ways(browser, service, pictures, kind):
    with opened(browser, service) as page:
        ready(page)
        begun = time.perf_counter()
        hand_over(page, kind, pictures[1])
        answered(page)
        measured(f"from {kind} to answer: {time.perf_counter() - begun:.3f} s")
        assert pictures[1].name in page.inner_text(".facts")


def test_heat_map_has_the_colours_of_the_overlay(browser, service, pictures, classifier):
    answer: Prediction = classifier.predict(pictures[0])
    with opened(browser, service) as page:
        ready(page)
        choose(page, pictures[0])
        answered(page)
        drawn = page.evaluate(
            """() => {
              const canvas = document.querySelector('.answer .heat');
              const { width, height } = canvas;
              return [width, height, [...canvas.getContext('2d').getImageData(0, 0, width, height).data]];
            }"""
        )
        width, height = drawn[:2]
        assert (width, height) == answer.size
        found = np.array(drawn[2], np.float64).reshape(height, width, 4)
        heat = enlarge(answer.explanation.grid, width, height)
        opacity = 0.6 * np.sqrt(np.round(255 * heat) / 255)
        expected = opacity[..., None] * colours(heat)
        shown = found[..., 3:] / 255 * found[..., :3]
        assert np.abs(shown - expected).max() < 4
        off = np.abs(found[..., 3] / 255 - opacity)
        assert off.mean() < 0.003
        assert off.max() < 0.04  # one level of 256, where the root is steepest

        canvas = page.locator(".answer .frame:visible .heat")
        strength = "each => each.style.opacity"
        assert canvas.evaluate(strength) == "1"
        page.focus("#between")
        page.keyboard.press("Home")
        assert canvas.evaluate(strength) == "0"
        page.keyboard.press("ArrowRight")
        assert canvas.evaluate(strength) == "0.05"
        assert page.get_attribute("#between", "aria-valuetext") == "Heat map 5.0%"
        other = page.locator("#target option:not([selected])").first.get_attribute("value")
        with page.expect_response("**/v1/predict") as response:
            page.select_option("#target", other)
        assert response.value.json()["explanation"]["target"] == other
        answered(page)
        assert page.input_value("#target") == other
        assert canvas.evaluate(strength) == "0.05"


def test_orientation_is_the_browsers(browser, service, pictures, tmp_path):
    turned = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    with Image.open(pictures[0]) as opened_picture:
        opened_picture.save(turned, exif=exif)
    with opened(browser, service) as page:
        ready(page)
        choose(page, turned)
        answered(page)
        shown = page.locator(".answer .frame:visible img")
        assert shown.evaluate("each => [each.naturalWidth, each.naturalHeight]") == [200, 300]
        canvas = page.locator(".answer .heat")
        assert canvas.evaluate("each => [each.width, each.height]") == [200, 300]
        frame, image = (page.locator(f".answer .frame:visible {name}").bounding_box() for name in ("canvas", "img"))
        assert frame == image
        assert "200 \N{MULTIPLICATION SIGN} 300" in page.inner_text(".facts")


def test_values_change_the_answer_and_wrong_ones_are_said_in_place(browser, service, pictures, classifier):
    with opened(browser, service) as page:
        ready(page)
        choose(page, pictures[0])
        answered(page)
        assert cell_texts(page, ".changes em") == ["unknown"] * 3
        with page.expect_response("**/v1/predict") as response:
            page.fill("#field-0", "71")
        expected = classifier.predict(pictures[0], age=71).probabilities
        assert response.value.json()["probabilities"] == pytest.approx(expected, abs=1e-5)
        page.wait_for_function("() => document.querySelector('.facts').textContent.includes('Age 71')")
        assert page.locator(".changes tr.unknown").count() == 2
        page.fill("#field-0", "200")
        page.wait_for_selector("[aria-invalid=true]")
        assert page.inner_text("#field-0-wrong") == "A number from 0 to 120."
        assert page.get_attribute("#field-0", "aria-describedby") == "field-0-wrong"
        assert "Age 71" in page.inner_text(".facts")


def test_several_pictures_and_earlier_patients(browser, service, pictures, no_picture):
    with opened(browser, service) as page:
        ready(page)
        page.fill("#field-0", "30")
        choose(page, pictures[0])
        answered(page)
        choose(page, pictures[1], no_picture)
        # Whichever of the two comes last: what is no picture may be refused before the other is answered.
        page.locator(".cards .badge").nth(2).wait_for()
        assert page.locator(".card").count() == 3 and page.locator(".card .badge.error").count() == 1
        page.click("#card-1")
        assert pictures[1].name in page.inner_text(".facts")
        assert page.get_attribute("#card-1", "aria-pressed") == "true"
        assert page.evaluate("document.activeElement.id") == "card-1"
        page.click("#card-2")
        page.click("#drop-it")
        assert page.locator(".card").count() == 2
        page.click("#new-patient")
        assert page.input_value("#field-0") == ""
        assert page.evaluate("document.activeElement.id") == "pick"
        choose(page, pictures[2])
        answered(page)
        assert "Given\nnothing" in page.inner_text(".facts")
        page.click("#earlier-0")
        assert page.locator(".card").count() == 2
        assert page.input_value("#field-0") == "30"
        stored = page.evaluate("async () => [localStorage.length, sessionStorage.length, (await caches.keys()).length]")
        assert stored == [0, 0, 0]
        page.reload()
        ready(page)
        assert page.locator(".earlier, .answer").count() == 0
        assert page.input_value("#field-0") == ""


def test_table_and_csv(browser, service, pictures, no_picture, classifier, tmp_path):
    formula = tmp_path / '=cmd|\' ,"x"!A1.jpg'
    formula.write_bytes(pictures[0].read_bytes())
    files = [*pictures, formula, no_picture]
    answers = [classifier.predict(file) for file in [*pictures, pictures[0]]]
    with opened(browser, service) as page:
        ready(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.rpartition("/v1/")[2]))
        choose(page, *files)
        page.wait_for_selector("#download")
        assert asked == ["predict/batch"] * 2
        assert cell_texts(page, ".many tbody th") == [file.name for file in files]
        words = [each.decision.capitalize() for each in answers]
        assert cell_texts(page, ".many tbody .badge") == [*words, "not read"]
        shown = [float(text.rstrip("%")) for text in cell_texts(page, ".many td.number")]
        assert shown == pytest.approx([100 * each.probabilities[each.label] for each in answers], abs=0.51)
        with page.expect_download() as download:
            page.click("#download")
        text = Path(download.value.path()).read_bytes().decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["file"] for row in rows[:9]] == [file.name for file in pictures]
        assert rows[9]["file"] == f"'{formula.name}"
        assert "no picture of a known format" in rows[10]["error"]
        assert [row["label"] for row in rows] == [*(each.label for each in answers), ""]
        assert [row["decision"] for row in rows] == [*(each.decision for each in answers), ""]
        assert float(rows[0]["probability_mel"]) == pytest.approx(answers[0].probabilities["mel"], abs=1e-5)
        page.click("#by-probability")
        ordered = [float(text.rstrip("%")) for text in cell_texts(page, ".many td.number")]
        assert ordered == sorted(shown)
        assert page.locator("th[aria-sort=ascending]").count() == 1
        page.click(".many tbody th button >> nth=-1")
        answered(page)
        assert page.locator(".card").count() == 0


def test_a_run_can_be_cancelled(browser, service, pictures):
    with opened(browser, service) as page:
        ready(page)
        page.check("[value=many]", force=True)
        held: list[Route] = []

        page.route("**/v1/predict/batch", lambda route: held.append(route))
        choose(page, *pictures, *pictures)
        page.wait_for_selector("#cancel")
        page.wait_for_timeout(200)
        assert page.get_attribute("progress", "max") == "18"
        held[0].continue_()
        page.wait_for_selector(".many tbody tr")
        page.click("#cancel")
        page.wait_for_selector("#download")
        assert page.inner_text(".told") == "Cancelled after 8 of 18 pictures"
        assert page.locator(".many tbody tr").count() == 8
