"""One browser, one service and some pictures for each module."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_in_browser import CHROMIUM
from service.serving import Running, running

from dermedge.data.synthetic_picture import picture


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; skips where there is none, or nothing to drive it with."""
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def service(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with the small model of the box, which is calibrated and explains."""
    with running(tmp_path_factory.mktemp("service"), "--workers", 1, model="tiny") as one:
        yield one


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    made = []
    for seed, code in enumerate(("mel", "nv", "bkl", "vasc", "df", "bcc", "akiec", "mel", "nv")):
        made.append(folder / f"{seed}-{code}-with-a-long-name-as-archives-give-them.jpg")
        picture(code, np.random.default_rng(seed), 300, 200).save(made[-1], quality=90)
    return made


@pytest.fixture(scope="module")
def no_picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("other") / "letter.jpg"
    path.write_text("Dear colleague")
    return path
