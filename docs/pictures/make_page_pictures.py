"""Make the pictures of the service's page again: `python docs/pictures/make_page_pictures.py`.

It starts the service with the model in the box and looks at it in a headless Chromium (extra `dev`); every lesion is
generated, so no patient's photograph is here.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from dermedge.data.synthetic_picture import picture

FOLDER = Path(__file__).parent
_WIDTH = 1024
_WAIT = 60
"""Seconds until the service must be there."""


def main() -> None:
    """Write both pictures beside this file."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
    command = [sys.executable, "-m", "dermedge", "serve", "--model", "box", "--device", "cpu", "--port", port]
    with subprocess.Popen(command) as service, tempfile.TemporaryDirectory() as folder:
        try:
            _wait(f"http://127.0.0.1:{port}/readyz")
            _look(f"http://127.0.0.1:{port}/", _lesions(Path(folder)))
        finally:
            service.terminate()


def _wait(address: str) -> None:
    until = time.monotonic() + _WAIT
    while True:
        try:
            with urllib.request.urlopen(address):
                return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def _lesions(folder: Path) -> list[Path]:
    paths = []
    for seed in (1, 2):
        for code in ("akiec", "bcc", "bkl", "df", "mel"):
            paths.append(folder / f"{code}-{seed}.jpg")
            picture(code, np.random.default_rng(seed), 600, 450).save(paths[-1], quality=90)
    return paths


def _look(address: str, lesions: list[Path]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000}, locale="en-GB")
        page.goto(address)
        page.fill("[data-field=age]", "55")
        page.select_option("[data-field=site]", "back")
        page.set_input_files("#files", FOLDER / "lesion.jpg")
        page.wait_for_selector(".answer[aria-busy=false]")
        _keep(page, FOLDER / "page.jpg")
        page.set_viewport_size({"width": 1280, "height": 760})
        page.set_input_files("#files", lesions)
        page.wait_for_selector("#download")
        _keep(page, FOLDER / "page-many.jpg")
        browser.close()


def _keep(page: Page, path: Path) -> None:
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(300)
    shown = Image.open(BytesIO(page.screenshot())).convert("RGB")
    shown.thumbnail((_WIDTH, _WIDTH), Image.Resampling.LANCZOS)
    shown.save(path, quality=55, optimize=True)


if __name__ == "__main__":
    main()
