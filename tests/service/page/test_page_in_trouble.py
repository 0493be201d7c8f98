"""The page when something is wrong: what was sent, the service, the token."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from make_tiny_model import TINY
from page_in_browser import answered, cell_texts, choose, hand_over, opened, ready
from service.serving import running, wait_until_ready

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = pytest.mark.slow
TOKEN = "a-token-of-the-tests-0123"


def test_what_cannot_be_read_is_said_in_place(browser, service, no_picture, tmp_path):
    large = tmp_path / "large.tif"
    with large.open("wb") as file:
        file.truncate(26 * 2**20)
    hostile = tmp_path / "<img src=x onerror=alert(1)>.jpg"
    hostile.write_bytes(no_picture.read_bytes())
    with opened(browser, service) as page:
        ready(page)
        page.on("dialog", lambda dialog: pytest.fail(f"an alert box: {dialog.message}"))
        choose(page, no_picture)
        page.wait_for_selector(".problem")
        assert "letter.jpg: its content is no picture of a known format" in page.inner_text(".problem")
        choose(page, large)
        page.wait_for_selector("#card-1 .badge.error")
        assert "large.tif has 26.0 MB; a request has at most 25 MB" in page.inner_text(".problem")
        choose(page, hostile)
        page.wait_for_selector("#card-2 .badge.error")
        assert hostile.name in page.inner_text(".problem")
        page.click("#new-patient")
        hand_over(page, "drop")
        assert "no file" in page.inner_text("#trouble")


def test_a_file_with_several_pictures_goes_to_the_table(browser, service, pictures):
    with opened(browser, service) as page:
        ready(page)
        record = {"status": 422, "detail": "1.dcm holds 3 pictures: send it to /v1/predict/batch."}
        page.route("**/v1/predict", lambda route: route.fulfill(status=422, body=json.dumps(record)))
        results = [{"file": f"{pictures[0].name} {frame}", "error": "dark", "time": ""} for frame in range(3)]
        page.route("**/v1/predict/batch", lambda route: route.fulfill(body=json.dumps({"results": results})))
        choose(page, pictures[0])
        page.click("#to-table")
        page.wait_for_selector("#download")
        assert cell_texts(page, ".many tbody th") == [each["file"] for each in results]


def test_a_busy_service_is_asked_again(browser, service, pictures):
    with opened(browser, service) as page:
        ready(page)
        answers = 0

        def busy_once(route: Route) -> None:
            nonlocal answers
            answers += 1
            if answers > 1:
                route.continue_()
                return
            record = {"type": "about:blank", "title": "Service Unavailable", "status": 503, "detail": "busy"}
            route.fulfill(status=503, headers={"Retry-After": "1"}, body=json.dumps(record))

        page.route("**/v1/predict", busy_once)
        choose(page, pictures[0])
        answered(page)
        assert answers == 2


def test_a_service_that_is_gone_is_said_and_asked_again(browser, pictures, tmp_path):
    with running(tmp_path, model="tiny") as own, opened(browser, own) as page:
        ready(page)
        own.process.terminate()
        own.process.wait(30)
        choose(page, pictures[0])
        page.wait_for_selector(".problem")
        assert "The service does not answer" in page.inner_text(".problem")
        back = subprocess.Popen(own.process.args, stderr=subprocess.DEVNULL, text=True)
        try:
            wait_until_ready(own, back)
            page.click("#again")
            answered(page)
        finally:
            back.terminate()
            back.wait(30)


def test_a_token_is_asked_for_once_and_the_documentation_uses_it(browser, pictures, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with running(tmp_path, "--token-file", tmp_path / "token", model=TINY) as own:
        with opened(browser, own) as page:
            page.fill("#token", "wrong-token-wrong-token")
            page.keyboard.press("Enter")
            page.wait_for_selector(".wrong:has-text('does not accept')")
            page.fill("#token", TOKEN)
            page.keyboard.press("Enter")
            ready(page)
            # Another model has another form, no decision and no heat map.
            assert cell_texts(page, "#field-2 option") == ["unknown", "back", "face", "lower extremity"]
            choose(page, pictures[0])
            answered(page)
            assert page.inner_text("#verdict") == "No recommendation"
            assert "Unknown\nAge, Sex, Site" in page.inner_text(".facts")
            assert page.locator("#token, .heat, #between").count() == 0
            page.click("text=API")
            page.wait_for_selector(".opblock")
            assert page.locator("#token").count() == 0
            page.click(".opblock:has-text('/readyz') button >> nth=0")
            page.click(".opblock:has-text('/v1/model') button >> nth=0")
            page.click(".opblock:has-text('/v1/model') .try-out button")
            page.click(".opblock:has-text('/v1/model') .execute")
            page.wait_for_selector(".opblock:has-text('/v1/model') .live-responses-table:has-text('200')")
        with opened(browser, own, "docs") as page:
            page.fill("#token", TOKEN)
            page.keyboard.press("Enter")
            page.wait_for_selector(".opblock")
