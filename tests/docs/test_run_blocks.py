"""Blocks that are marked to be run do run, and print what the page says they print."""

import re
from pathlib import Path

import pytest
from docs.pages import OUTPUT, PAGES, RUN, SLOW, Block, blocks
from docs.run_block import printed_by, readers_folder, run_block

_BLOCKS = [block for page in PAGES for block in blocks(page)]
_RUNNABLE = [block for block in _BLOCKS if block.marker in (RUN, SLOW)]
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MACHINE = re.compile(r"\((?:CPUExecutionProvider|on )(?:\([^()]*\)|[^()])*\)")  # a CPU can be an Intel(R) Xeon(R)


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    readers_folder(tmp_path)
    return tmp_path


def _case(block: Block):
    return pytest.param(block, id=block.place, marks=[pytest.mark.exhaustive] if block.marker == SLOW else [])


@pytest.mark.parametrize("block", [_case(block) for block in _RUNNABLE])
def test_it_runs_and_prints_what_the_page_says(block: Block, reader: Path) -> None:
    done = run_block(block, reader)
    assert done.returncode == 0, f"{block.place}\n{done.stdout}\n{done.stderr}"
    if shown := printed_by(block):
        assert _words(done.stdout) == _words(shown.text), f"{shown.place} is not what is printed:\n{done.stdout}"
        pairs = zip(_numbers(done.stdout), _numbers(shown.text), strict=True)
        assert all(abs(real - told) <= max(1.0, 0.02 * told) for real, told in pairs), done.stdout


def test_the_main_pages_have_blocks_that_run() -> None:
    assert {block.page.name for block in _RUNNABLE} >= {"README.md", "getting-started.md", "python-api.md"}
    assert {block.kind for block in _RUNNABLE} == {"sh", "python"}
    assert sum(printed_by(block) is not None for block in _RUNNABLE) >= 2
    lost = [block.place for block in _BLOCKS if block.marker == OUTPUT]
    assert len(lost) == sum(printed_by(block) is not None for block in _RUNNABLE), lost


def _words(text: str) -> list[str]:
    return [_NUMBER.sub("0", line).rstrip(" #") for line in _MACHINE.sub("", text).strip().split("\n")]


def _numbers(text: str) -> list[float]:
    return [float(number) for number in _NUMBER.findall(_MACHINE.sub("", text))]
