"""The documentation as its readers see it: blocks of commands, blocks that can be run, links, words in code font."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FRONT = ("README.md", "CONTRIBUTING.md", "examples/README.md")
PAGES = (*(ROOT / name for name in _FRONT), *sorted((ROOT / "docs").glob("*.md")))
RUN, SLOW, OUTPUT = "<!-- run -->", "<!-- run slow -->", "<!-- output -->"
"""Alone on the line before a block: it is run by the tests; it takes long; it is what the block before it prints."""
_SHELLS = ("sh", "bash", "powershell", "indented")
_FENCE = re.compile(r"^ *(`{3,})\s*(\w*)")


@dataclass(frozen=True)
class Block:
    """One block of code."""

    page: Path
    line: int
    kind: str
    """What the fence says, or `indented`."""
    text: str
    marker: str
    """The comment on the line before, or nothing."""

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All blocks of code of a page, fenced and indented."""
    lines = page.read_text(encoding="utf-8").split("\n")
    found, index = [], 0
    while index < len(lines):
        if fence := _FENCE.match(lines[index]):
            end = next(i for i in range(index + 1, len(lines)) if lines[i].strip() == fence[1])
            kind, body = fence[2], lines[index + 1 : end]
        elif lines[index].startswith("    ") and not lines[index - 1].strip() and not _in_list(lines, index):
            end = next(
                (i for i in range(index, len(lines)) if lines[i] and not lines[i].startswith("    ")), len(lines)
            )
            kind, body = "indented", [line[4:] for line in lines[index:end]]
        else:
            index += 1
            continue
        marker = lines[index - 1].strip() if index and lines[index - 1].startswith("<!--") else ""
        found.append(Block(page, index + 1, kind, "\n".join(body), marker))
        index = end + 1 if kind != "indented" else end
    return found


def _in_list(lines: list[str], index: int) -> bool:
    before = next((line for line in reversed(lines[:index]) if line.strip()), "")
    return before.lstrip().startswith(("- ", "* ", "??? ", "!!! ")) or before.startswith("    ")


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Every call of dermedge in the shell blocks of a page: where it is, and the words after `dermedge`."""
    for block in blocks(page):
        if block.kind in _SHELLS:
            text = block.text.replace("\\\n", " ")
            for number, line in enumerate(text.split("\n"), start=block.line + 1):
                yield from ((f"{page.relative_to(ROOT)}:{number}", words) for words in _calls(line))


def _calls(line: str) -> Iterator[list[str]]:
    lexer = shlex.shlex(line.replace("\\", "/"), posix=True, punctuation_chars="<>|&;")
    lexer.whitespace_split = True
    words: list[str] = []
    for token in [*lexer, ";"]:
        if set(token) <= set("<>|&;"):
            if "dermedge" in words[:1] or words[:1] == ["torchrun"]:
                yield words[words.index("dermedge") + 1 :]
            words = ["a redirection's file"] if set(token) <= set("<>") else []
        else:
            words.append(token)


def code_words(page: Path) -> Iterator[tuple[int, str]]:
    """Everything in code font outside of blocks, with its line."""
    inside = False
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), start=1):
        if _FENCE.match(line):
            inside = not inside
        elif not inside and not line.startswith("    "):
            yield from ((number, word) for word in re.findall(r"`([^`]+)`", line) if word.strip())


def links(page: Path) -> Iterator[tuple[int, str]]:
    """Every link and picture of a page, with its line."""
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), start=1):
        yield from ((number, target) for target in re.findall(r"\]\(([^)\s]+)\)", line))
