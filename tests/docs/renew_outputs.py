"""Write anew what pages say that a command prints: all of it changes with the model in the box.

`python tests/docs/renew_outputs.py` runs every block that has such a block behind it. A test compares them.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.pages import PAGES, RUN, SLOW, blocks
from docs.run_block import printed_by, readers_folder, run_block


def with_outputs(page: Path) -> str:
    """Give a page's text with every output as it is now."""
    lines = page.read_text(encoding="utf-8").split("\n")
    # From the end, so that the lines of what comes before stay where they are.
    for block in reversed([block for block in blocks(page) if block.marker in (RUN, SLOW)]):
        if shown := printed_by(block):
            with tempfile.TemporaryDirectory() as folder:
                readers_folder(Path(folder))
                done = run_block(block, Path(folder))
            if done.returncode:
                sys.exit(f"{block.place} failed:\n{done.stderr}")
            length = shown.text.count("\n") + 1
            lines[shown.line : shown.line + length] = done.stdout.strip("\n").split("\n")
    return "\n".join(lines)


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(with_outputs(each), encoding="utf-8")
