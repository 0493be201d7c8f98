"""Explanations on the command line: tables, overlays in a folder of their own, one-page report, JSON."""

import base64
import io
import json
import re
import shutil
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge_runtime.devices.cpu_instructions import cpu_name


@pytest.fixture
def photo(picture: Path, tmp_path: Path) -> Path:
    """A copy of one picture, larger than the model's input, stored on its side with an EXIF orientation."""
    target = tmp_path / "photo.jpg"
    with Image.open(picture) as image:
        upright = image.resize((640, 480))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(target, exif=exif)
    return target


def test_explain_prints_relevance_and_writes_the_overlay(cli, models: Path, photo: Path, workspace: Path) -> None:
    before = sorted(photo.parent.iterdir())
    done = cli("infer", photo, "--age", 55, "--site", "back", "--explain")
    assert done.returncode == 0, done.stderr
    assert re.search(r"clinical relevance for \w+ \(sum per field: ", done.stdout)
    assert "site=back" in done.stdout
    overlay = re.search(r"written to (overlays/photo\.jpg.*\.heatmap\.png)", done.stderr)[1]
    assert sorted(photo.parent.iterdir()) == before
    with Image.open(workspace / overlay) as image:
        assert image.height == 480  # upright and at the photograph's own size
        assert 640 < image.width < 760  # and the colour bar


def test_json_carries_arrays_and_no_table(cli, models: Path, photo: Path) -> None:
    done = cli("infer", photo, "--explain", "--json")
    explanation = json.loads(done.stdout)["explanation"]
    assert np.array(explanation["heatmap"]).ndim == 2
    assert max(explanation["relevance"].values()) == pytest.approx(1)
    assert set(explanation["relevance_by_field"]) == {"age", "sex", "site"}
    largest = max(map(abs, explanation["attribution"].values()))
    assert {k: pytest.approx(abs(v) / largest, abs=1e-4) for k, v in explanation["attribution"].items()} == (
        explanation["relevance"]
    )
    assert explanation["target"] == json.loads(done.stdout)["label"]


def test_any_class_can_be_explained(cli, models: Path, photo: Path) -> None:
    answers = {
        code: json.loads(cli("infer", photo, "--explain", "--json", "--target", code).stdout) for code in ("mel", "nv")
    }
    assert [answers[code]["explanation"]["target"] for code in answers] == ["mel", "nv"]
    assert answers["mel"]["probabilities"] == answers["nv"]["probabilities"]
    assert answers["mel"]["explanation"]["attribution"] != answers["nv"]["explanation"]["attribution"]
    unknown = cli("infer", photo, "--explain", "--target", "wart")
    assert unknown.returncode == 2
    assert "akiec, bcc" in unknown.stderr


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found += [value or "" for name, value in attrs if name in ("src", "href")]


def test_report_is_one_self_contained_page(cli, models: Path, photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.html"
    done = cli("infer", photo, "--age", 55, "--site", "back", "--report", target)
    assert done.returncode == 0, done.stderr
    page = target.read_text(encoding="utf-8")
    references = _References()
    references.feed(page)
    assert len(references.found) == 2
    assert all(found.startswith("data:image/jpeg;base64,") for found in references.found)
    sizes = re.findall(r'<img (width="\d+" height="\d+")', page)
    assert sizes == ['width="640" height="480"'] * 2
    for data in references.found:
        with Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))) as image:
            assert image.size == (640, 480)
    assert not {"script", "link", "iframe"} & set(references.tags)
    for words in (
        "Research use only",
        "cross_attention-int8.onnx",
        "CPUExecutionProvider",
        "<td>age</td><td>55 years</td>",
        '<td>sex</td><td class="unknown">unknown</td>',
        "<td>site</td><td>back</td>",
        escape(cpu_name()),
    ):
        assert words in page


def test_report_escapes_what_it_is_told(cli, models: Path, photo: Path, tmp_path: Path) -> None:
    nasty = tmp_path / "<b>&.jpg"
    shutil.copy(photo, nasty)
    assert cli("infer", nasty, "--report", tmp_path / "out.html").returncode == 0
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;.jpg" in page
    assert "<b>" not in page


def test_report_that_cannot_be_written_is_1(cli, models: Path, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = cli("infer", photo, "--report", tmp_path / "file" / "out.html")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "file" in done.stderr


def test_report_never_replaces_the_photograph(cli, models: Path, photo: Path) -> None:
    before = photo.read_bytes()
    done = cli("infer", photo, "--report", photo)
    assert done.returncode == 2
    assert "ends in .html" in done.stderr
    assert photo.read_bytes() == before


def test_report_of_several_pictures_is_2(cli, models: Path, photo: Path, tmp_path: Path) -> None:
    done = cli("infer", photo, photo, "--report", tmp_path / "out.html")
    assert done.returncode == 2
    assert not (tmp_path / "out.html").exists()


def test_file_without_explanations_says_how_to_get_them(cli, cli_here, models: Path, photo: Path) -> None:
    done = cli_here(*("export", "--no-explanations", "--models", "plain", "--min-agreement", 0, "--max-drop", 100))
    assert done.returncode == 0, done.stderr
    plain = models.parent / "plain" / "cross_attention-fp32.onnx"
    assert json.loads(cli("inspect", plain, "--json").stdout)["outputs"] == ["probabilities"]
    assert cli("infer", photo, "--model", plain).returncode == 0
    for option in (["--explain"], ["--target", "mel"], ["--report", "x.html"]):
        refused = cli("infer", photo, "--model", plain, *option)
        assert refused.returncode == 2
        assert "without explanations. Export it again without --no-explanations." in refused.stderr


def test_explain_of_a_run_writes_gallery_and_tables(cli_here, models: Path) -> None:
    done = cli_here("explain", "--per-class", 1, "--limit", 1)
    assert done.returncode == 0, done.stderr
    assert "mean relevance" in done.stdout
    out = models.parent / "runs" / "cross_attention" / "explain"
    assert {path.name for path in out.iterdir()} == {"gallery.png", "relevance.csv", "relevance.png", "explain.json"}
    header, *rows = (out / "relevance.csv").read_text().splitlines()
    assert header == "feature,akiec,bcc,bkl,df,mel,nv,vasc"
    assert len(rows) == 20  # age, 2 sexes and 14 sites, and that each of the three is unknown


def test_explain_with_absent_masks_is_3(cli_here, models: Path) -> None:
    done = cli_here("explain", "--masks")
    assert done.returncode == 3
    assert "lesion masks are not in" in done.stderr
