"""Links lead somewhere, in the repository as on the built pages, and paths that are named are there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from docs.pages import PAGES, ROOT, blocks, code_words, links

_ELSEWHERE = re.compile(r"^[a-z]+:")
_PATHS = re.compile(r"^(?:dermedge|export|runtime|tests|benchmarks|docs|examples)/[\w./-]*$")


def _anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for line, target in links(page):
        if _ELSEWHERE.match(target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}:{line}: {target}"
        assert not anchor or anchor in _anchors(file), f"{page.name}:{line}: {target}"


def test_the_readme_leads_to_the_main_pages() -> None:
    targets = {target.partition("#")[0] for _, target in links(ROOT / "README.md")}
    assert {"docs/getting-started.md", "docs/model-file.md", "docs/command-line.md", "benchmarks/LOG.md"} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_paths_exist(page: Path) -> None:
    for line, word in code_words(page):
        if _PATHS.match(word):
            assert (ROOT / word).exists(), f"{page.name}:{line}: {word}"


def test_architecture_names_paths() -> None:
    assert sum(bool(_PATHS.match(word)) for _, word in code_words(ROOT / "docs" / "architecture.md")) > 20


def test_the_picture_of_the_floors_is_that_of_the_contract() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = next(entry["layers"] for entry in settings["tool"]["importlinter"]["contracts"] if "layers" in entry)
    drawn = re.findall(r">([\w.]+)</text>", (ROOT / "docs" / "pictures" / "floors.svg").read_text(encoding="utf-8"))
    assert [module for layer in layers for module in layer.split(" : ")] == [
        name for name in drawn if name.startswith("dermedge")
    ], "run: python docs/pictures/make_pictures.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_are_short(page: Path) -> None:
    printed = {line for block in blocks(page) if block.kind == "text" for line in block.text.split("\n")}
    for number, line in enumerate(page.read_text(encoding="utf-8").split("\n"), start=1):
        assert len(line) <= 120 or line.startswith("| ") or line in printed, f"{page.name}:{number}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split("\n")) < 130


def test_the_strict_build_passes_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    pytest.importorskip("material", reason="mkdocs-material is not installed: pip install '.[docs]'")
    site = tmp_path / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    loaded = re.compile(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']?(?:https?:)?//[^\"' >]+")
    for page in pages:
        assert not loaded.findall(page.read_text(encoding="utf-8")), page
