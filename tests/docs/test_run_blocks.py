"""Blocks that are marked to be run do run, and print what the page says they print."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from docs.pages import OUTPUT, PAGES, ROOT, RUN, SLOW, Block, blocks

_BLOCKS = [block for page in PAGES for block in blocks(page)]
_RUNNABLE = [block for block in _BLOCKS if block.marker in (RUN, SLOW)]
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MACHINE = re.compile(r"\((?:CPUExecutionProvider|on )[^)]*\)")


def _printed_by(block: Block) -> Block | None:
    after = next((other for other in _BLOCKS if other.page == block.page and other.line > block.line), None)
    return after if after is not None and after.marker == OUTPUT else None


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """A folder with what a reader has: one generated picture by the names that the pages use, and a folder of two."""
    lesion = ROOT / "docs" / "pictures" / "lesion.jpg"
    for place in ("image.jpg", "folder/a.jpg", "folder/b.jpg", "docs/pictures/lesion.jpg"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lesion, tmp_path / place)
    return tmp_path


def _case(block: Block):
    return pytest.param(block, id=block.place, marks=[pytest.mark.slow] if block.marker == SLOW else [])


@pytest.mark.parametrize("block", [_case(block) for block in _RUNNABLE])
def test_it_runs_and_prints_what_the_page_says(block: Block, reader: Path) -> None:
    done = _run(block, reader)
    assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"
    if shown := _printed_by(block):
        assert _words(done.stdout) == _words(shown.text), f"{shown.place} is not what is printed:\n{done.stdout}"
        pairs = zip(_numbers(done.stdout), _numbers(shown.text), strict=True)
        assert all(abs(real - told) <= max(1.0, 0.02 * told) for real, told in pairs), done.stdout


def test_the_main_pages_have_blocks_that_run() -> None:
    assert {block.page.name for block in _RUNNABLE} >= {"README.md", "getting-started.md", "python-api.md"}
    assert {block.kind for block in _RUNNABLE} == {"sh", "python"}
    assert sum(_printed_by(block) is not None for block in _RUNNABLE) >= 2
    lost = [block.place for block in _BLOCKS if block.marker == OUTPUT]
    assert len(lost) == sum(_printed_by(block) is not None for block in _RUNNABLE), lost


def _run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "export", "runtime"))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHON": sys.executable}
    if block.kind == "python":
        command = [sys.executable, "-c", block.text]
    else:
        command = ["bash", "-ec", f'dermedge() {{ "$PYTHON" -m dermedge "$@"; }}\n{block.text}']
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False, encoding="utf-8"
    )


def _words(text: str) -> list[str]:
    return [_NUMBER.sub("0", line).rstrip(" #") for line in _MACHINE.sub("", text).strip().split("\n")]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(_MACHINE.sub("", text))]
