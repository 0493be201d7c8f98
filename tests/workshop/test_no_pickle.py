"""Loading a pickle runs whatever its author put there, so nothing of ours reads or writes one."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "dermedge", ROOT / "export" / "dermedge_export", ROOT / "runtime" / "dermedge_runtime")
SOURCES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "torch.save", "torch.jit.load", "pandas.read_pickle"}


def findings(tree: ast.AST) -> list[str]:
    found = []
    tensors_alone = {
        node.func
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and any(ast.unparse(each) == "weights_only=True" for each in node.keywords)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            # An error can be caught without reading anything.
            names = {f"{node.module}.{alias.name}" for alias in node.names if not alias.name.endswith("Error")}
            if not names:
                continue
            found += [str(node.module)] if str(node.module).split(".")[0] in MODULES else sorted(names & CALLS)
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in CALLS and node not in tensors_alone:
            found.append(ast.unparse(node))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append("allow_pickle")
    return found


def test_the_sources_are_found():
    names = {path.name for path in SOURCES}
    assert {"checkpoint.py", "pipeline.py", "classifier.py"} <= names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_touches_a_pickle(path):
    assert findings(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    ["import pickle", "import pickle as p", "from pickle import loads", "import torch\ntorch.load('x')",
     "from torch import load", "import numpy as np\nnp.load('x', allow_pickle=True)", "def f():\n    import joblib"],
)  # fmt: skip
def test_this_check_finds_what_it_looks_for(code):
    assert len(findings(ast.parse(code))) == 1
