"""MkDocs: show files from outside `docs/` as pages, and send links to the right place.

Links in the sources are those of the repository, so that they work in an editor and in a code browser too. Here they
are turned into links between pages. A link to a file that is neither a page nor in `PAGES` stays as it is, and the
strict build refuses it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "benchmarks/LOG.md": "measurements.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "runtime/dermedge_runtime/model/shipped/ham10000-concat-int8.md": "model-in-the-box.md",
    "dermedge/data/schemas/ham10000.toml": "schemas/ham10000.toml",
    "dermedge/data/schemas/pad_ufes_20.toml": "schemas/pad_ufes_20.toml",
}
"""Path in the repository to path in the site."""
_EXISTING = {"index.md"}
_SOURCES = {page: source for source, page in PAGES.items() if page not in _EXISTING}
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[#)])")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside."""
    for source, page in PAGES.items():
        if page not in _EXISTING:
            files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the repository's links into the site's."""
    uri = page.file.src_uri
    here = _SOURCES.get(uri, f"docs/{uri}")
    return _LINK.sub(lambda found: _site_link(found[1], here, uri), markdown)


def _site_link(target: str, source: str, page: str) -> str:
    in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    in_site = PAGES.get(in_repository, in_repository.removeprefix("docs/"))
    if in_site == in_repository:
        return target
    return posixpath.relpath(in_site, posixpath.dirname(page) or ".")
