"""The service's page in a headless Chromium, with a note of whatever goes wrong in it."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from service.serving import Running

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Noted:
    """What a page asked for, and what it complained about."""

    def __init__(self, page: Page) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        # An answer with a status is no fault of the page: it shows it.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def check(self, address: str) -> None:
        assert self.complaints == []
        assert [url for url in self.requests if not url.startswith((address, f"blob:{address}", "data:"))] == []


@contextmanager
def opened(browser: Browser, service: Running, path: str = "", **settings: Any) -> Iterator[Page]:
    """Open the page in a profile of its own; at the end nothing may have gone wrong in it."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, "locale": "en-GB", **settings})
    context.set_default_timeout(30_000)
    page = context.new_page()
    noted = Noted(page)
    page.goto(f"{service.address}/{path}")
    try:
        yield page
        noted.check(f"{service.address}/")
    finally:
        context.close()


def ready(page: Page) -> None:
    """Wait for the form, which is made from what the model says of itself."""
    page.wait_for_selector("#field-0")


def choose(page: Page, *files: Path) -> None:
    page.set_input_files("#files", [os.fspath(file) for file in files])


def answered(page: Page) -> None:
    page.wait_for_selector(".answer[aria-busy=false]")


def hand_over(page: Page, kind: str, *files: Path) -> None:
    """Drop or paste files, as a hand would."""
    contents = [[file.name, base64.b64encode(file.read_bytes()).decode()] for file in files]
    page.evaluate(
        """([kind, contents]) => {
          const transfer = new DataTransfer();
          for (const [name, text] of contents) {
            const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
            transfer.items.add(new File([bytes], name, { type: 'image/jpeg' }));
          }
          const event = kind === 'paste'
            ? new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true })
            : new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true });
          document.getElementById('drop').dispatchEvent(event);
        }""",
        [kind, contents],
    )


def cell_texts(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def measured(text: str) -> None:
    """Say what was measured and is not asserted: shown with `pytest -s`."""
    sys.stdout.write(f"{text}\n")
