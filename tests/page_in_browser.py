"""The service as a process, and its page in a headless Chromium that notes whatever goes wrong."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Served:
    """A running `dermedge serve`."""

    def __init__(self, folder: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}/"
        self._options, self._log = options, folder / "service.log"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "dermedge", "serve", "--port", str(self.port), "--device", "cpu"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--workers", "1", *self._options], stdout=log, stderr=log, env={**os.environ}
            )
        until = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.address}readyz", timeout=5):
                    return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise AssertionError(self._log.read_text()) from None
                time.sleep(0.1)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)


@contextmanager
def served(folder: Path, *options: str) -> Iterator[Served]:
    service = Served(folder, *options)
    try:
        yield service
    finally:
        service.stop()


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
def opened(browser: Browser, service: Served, path: str = "", **settings: Any) -> Iterator[Page]:
    """Open the page in a profile of its own; at the end nothing may have gone wrong in it."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, "locale": "en-GB", **settings})
    context.set_default_timeout(10_000)
    page = context.new_page()
    noted = Noted(page)
    page.goto(f"{service.address}{path}")
    try:
        yield page
        noted.check(service.address)
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
