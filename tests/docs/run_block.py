"""Run a block of a page as its reader would, and find the block that says what it prints."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from docs.pages import OUTPUT, ROOT, Block, blocks


def readers_folder(folder: Path) -> None:
    """Fill a folder with what a reader has: one generated picture by the names that the pages use, a folder of two."""
    lesion = ROOT / "docs" / "pictures" / "lesion.jpg"
    for place in ("image.jpg", "folder/a.jpg", "folder/b.jpg", "docs/pictures/lesion.jpg"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lesion, folder / place)


def printed_by(block: Block) -> Block | None:
    """The block behind this one, if it is marked as what this one prints."""
    after = next((other for other in blocks(block.page) if other.line > block.line), None)
    return after if after is not None and after.marker == OUTPUT else None


def run_block(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block of Python or of the shell in a folder."""
    paths = os.pathsep.join(str(ROOT / part) for part in ("tests/light_install", "", "export", "runtime"))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHON": sys.executable}
    if block.kind == "python":
        command = [sys.executable, "-c", block.text]
    else:
        command = ["bash", "-ec", f'dermedge() {{ "$PYTHON" -m dermedge "$@"; }}\n{block.text}']
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False, encoding="utf-8"
    )
