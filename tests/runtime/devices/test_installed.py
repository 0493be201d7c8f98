"""Wheels that share a folder are found by their metadata; every mend is a command that leads to one wheel."""

from pathlib import Path

import pytest

from dermedge_runtime.devices.installed import install_command, versions, wheel_conflict


def install(folder: Path, name: str, version: str) -> None:
    """Lay the metadata of a distribution into a folder, as pip does."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which packages are found."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    return tmp_path


def test_versions_of_what_is_installed(site: Path) -> None:
    install(site, "onnxruntime", "1.32.0")
    install(site, "numpy", "2.4.6")
    install(site, "something-else", "1.0")
    assert versions() == {"onnxruntime": "1.32.0", "numpy": "2.4.6"}


def test_one_wheel_is_no_conflict(site: Path) -> None:
    assert wheel_conflict() is None
    install(site, "onnxruntime-gpu", "1.31.1")
    assert wheel_conflict() is None


def test_both_wheels(site: Path) -> None:
    install(site, "onnxruntime", "1.32.0")
    install(site, "onnxruntime-gpu", "1.31.1")
    conflict = wheel_conflict("cuda")
    assert conflict is not None
    assert conflict[0].startswith("onnxruntime and onnxruntime-gpu are installed together")
    assert conflict[1] == "Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'dermedge[cuda]'"


@pytest.mark.parametrize(
    ("installed", "first"),
    [(None, ""), ("onnxruntime", ""), ("onnxruntime-gpu", "pip uninstall -y onnxruntime-gpu && ")],
)
def test_an_extra_never_brings_a_second_wheel(site: Path, installed: str | None, first: str) -> None:
    if installed:
        install(site, installed, "1.0")
    assert install_command("rtx", "onnxruntime") == f"Run: {first}pip install 'dermedge[rtx]'"
