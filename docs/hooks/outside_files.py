"""MkDocs: show files from outside `docs/` as pages, and send links to the right place.

Links in the sources are those of the repository, so that they work in an editor and in a code browser too. Here they
are turned into links between pages. A link to a file that is neither a page nor named here stays as it is, and the
strict build refuses it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
BOX = "runtime/dermedge_runtime/model/shipped"
PAGES = {
    "benchmarks/LOG.md": "measurements.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/README.md": "examples.md",
    f"{BOX}/box.md": "model-in-the-box.md",
}
"""Path in the repository to page of the site."""
OTHERS = {
    f"{BOX}/{card.name}": f"model-in-the-box-{card.name}"
    for card in sorted((ROOT / BOX).glob("*.md"))
    if card.stem != "box"
}
"""The same of the other models in the box."""
PAGES |= OTHERS
ASSETS = (
    *(f"dermedge/data/schemas/{file.name}" for file in sorted((ROOT / "dermedge/data/schemas").glob("*.toml"))),
    *("examples/plain_python.py", "examples/node_client.js", "examples/cpp_client.cpp", "examples/CsharpClient.cs"),
    *("examples/golden/golden.json", "examples/golden/picture.png"),
    *("examples/kuberay.yaml", "examples/slurm_ray.sh", "examples/Dockerfile", "examples/dermedge.service"),
)
"""Files that pages lead to, and that are shown as they are, under the same path."""
INSTEAD = {
    "README.md": "index.md",
    **{card.removesuffix(".md") + ".onnx": page for card, page in PAGES.items() if card.startswith(BOX)},
}
"""What is not in the site, and the page that a link to it leads to."""
_TARGETS = PAGES | INSTEAD | {path: path for path in ASSETS}
_SOURCES = {page: source for source, page in PAGES.items()}
_LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[#)])")


def on_config(config: Any) -> None:
    """Name the cards of the other models in the box below that of the default one."""
    pages = next(part for section in config["nav"] for part in section.values() if "results.md" in part)
    pages += [{f"Card of the model {Path(card).stem}": page} for card, page in OTHERS.items()]


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside."""
    for source, page in (PAGES | {path: path for path in ASSETS}).items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the repository's links into the site's."""
    uri = page.file.src_uri
    here = _SOURCES.get(uri, f"docs/{uri}")
    return _LINK.sub(lambda found: _site_link(found[1], here, uri), markdown)


def _site_link(target: str, source: str, page: str) -> str:
    in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    in_site = _TARGETS.get(in_repository, in_repository.removeprefix("docs/"))
    if in_site == in_repository and in_repository not in ASSETS:
        return target
    return posixpath.relpath(in_site, posixpath.dirname(page) or ".")
