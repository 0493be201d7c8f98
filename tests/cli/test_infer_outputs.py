"""What `infer` prints and writes: every answer first, a JSON object a picture, overlays and report in their places."""

import errno
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermedge_runtime import Classifier, InputRejected, UsageError, model_in_the_box
from dermedge_runtime.commands import infer as command
from dermedge_runtime.commands.infer_report import html_report
from dermedge_runtime.commands.log_lines import log_on_stderr
from dermedge_runtime.prediction import Prediction


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(model_in_the_box(), "cpu")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


class Run:
    """One call of the command: its code, and what it said."""

    def __init__(self, model: Classifier, *images: object, clinical: dict[str, Any] | None = None, **options: Any):
        self.out: list[str] = []
        settings: dict[str, Any] = {"explain": False, "target": None, "overlays": None, "report": None}
        settings |= {"as_json": False, "show": self.out.append, **options}
        with redirect_stderr(io.StringIO()) as said, log_on_stderr():
            self.code = command.infer(model, [os.fspath(image) for image in images], clinical or {}, **settings)
        self.err = said.getvalue().splitlines()

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]


def photo(path: Path, level: int = 150) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(level).integers(0, 60, (45, 60, 3)) + level
    Image.fromarray(image.astype(np.uint8)).save(path)
    return path


def level_of(overlay: Path) -> float:
    """How bright the bottom of a picture with a heat map is."""
    with Image.open(overlay) as image:
        return float(np.asarray(image.convert("L"))[:, :60].mean())


def test_a_line_for_every_picture_as_it_comes(model: Classifier, here: Path) -> None:
    (here / "b.jpg").write_bytes(b"text")
    pictures = [photo(here / "a.png"), here / "b.jpg", here / "c.jpg"]
    run = Run(model, *pictures, clinical={"age": 55.0, "site": "back"}, as_json=True)
    assert run.code == 3
    assert all("\n" not in line for line in run.out)
    first, second, third = run.records
    assert (first["file"], first["given"], first["unknown"]) == (str(pictures[0]), {"age": 55, "site": "back"}, ["sex"])
    assert (first["label_name"], first["model_sha256"]) == (first["class_names"][first["label"]], model.sha256)
    assert first["notice"].startswith("Research use only")
    assert [set(record) for record in (second, third)] == [{"file", "error", "time"}] * 2
    assert datetime.fromisoformat(second["time"]).utcoffset() is not None
    assert "no such file" in third["error"] and any("no such file" in line for line in run.err)


@pytest.mark.parametrize("content", [b"", b"text"])
def test_a_single_picture_that_is_rejected_is_a_line_too(model: Classifier, here: Path, content: bytes) -> None:
    (here / "a.jpg").write_bytes(content)
    run = Run(model, "a.jpg", as_json=True)
    assert (run.code, run.records[0]["file"]) == (3, "a.jpg")
    assert Run(model, "a.jpg").out == []


def test_the_text_says_what_was_given_and_what_was_not(model: Classifier, here: Path) -> None:
    photo(here / "a.png")
    text = Run(model, "a.png", clinical={"age": "55", "site": "Back"}).out[0]
    assert "\n  given: age 55, site back; unknown: sex" in text
    assert Run(model, "a.png").out[0].endswith("\n  unknown: age, sex, site")


def test_the_text_says_what_is_wrong_with_the_picture(model: Classifier, here: Path) -> None:
    Image.new("RGB", (60, 45), (120, 90, 80)).save(here / "grey.png")
    text = Run(model, "grey.png").out[0]
    assert "the file has only 60 x 45 pixels" in text and "the picture is nearly uniform" in text
    assert "uniform" not in Run(model, photo(here / "a.png")).out[0]


def test_overlays_go_into_a_folder_of_the_current_one(model: Classifier, here: Path, tmp_path: Path) -> None:
    data = photo(tmp_path / "data" / "a.png").parent
    run = Run(model, data / "a.png", explain=True, as_json=True)
    assert run.code == 0
    assert run.records[0]["overlay"] == str(Path("overlays", "a.png.heatmap.png"))
    assert run.records[0]["explanation"]["target"] == run.records[0]["label"]
    assert os.listdir(data) == ["a.png"]
    assert os.listdir(here) == ["overlays"]


def test_pictures_of_one_name_keep_their_overlays(model: Classifier, here: Path, tmp_path: Path) -> None:
    levels = {"x": 20, "y": 90, "z": 190}
    for name, level in levels.items():
        photo(tmp_path / name / "a.png", level)
    run = Run(model, *(tmp_path / name for name in levels), explain=True, as_json=True)
    placed = [Path(record["overlay"]) for record in run.records]
    assert placed[0].name == "a.png.heatmap.png"
    assert all(re.fullmatch(r"a\.png\.[0-9a-f]{8}\.heatmap\.png", path.name) for path in placed[1:])
    bright = [level_of(path) for path in placed]
    assert bright == sorted(bright)
    # Another run finds its own again, whichever pictures it is about, and writes over nothing else.
    later = Run(model, tmp_path / "z" / "a.png", tmp_path / "y" / "a.png", explain=True, as_json=True)
    assert [Path(record["overlay"]) for record in later.records] == placed[:0:-1]
    assert [level_of(path) for path in placed] == pytest.approx(bright, abs=2)
    assert len(os.listdir("overlays")) == 3


def test_what_is_no_overlay_of_this_picture_is_never_replaced(model: Classifier, here: Path) -> None:
    photo(here / "a.png")
    (here / "overlays").mkdir()
    mine = photo(here / "overlays" / "a.png.heatmap.png")
    before = mine.read_bytes()
    run = Run(model, "a.png", mine, explain=True, overlays=Path("overlays"), as_json=True)
    assert mine.read_bytes() == before
    placed = Path(run.records[0]["overlay"])
    assert placed not in (mine.relative_to(here), Path("overlays", "a.png.heatmap.png"))
    # Not even where its own place is taken.
    placed.unlink()
    placed.symlink_to("nowhere")
    run = Run(model, "a.png", explain=True, as_json=True)
    assert Path(run.records[0]["overlay"]).name == placed.name.replace(".heatmap", ".2.heatmap")
    assert placed.is_symlink()


def test_overlays_carry_no_path(model: Classifier, here: Path) -> None:
    photo(here / "Mrs Example" / "a.png")
    Run(model, "Mrs Example/a.png", explain=True)
    assert b"Example" not in Path("overlays/a.png.heatmap.png").read_bytes()


def test_a_name_that_is_as_long_as_it_may_be(model: Classifier, here: Path) -> None:
    photo(here / ("ü" * 125 + ".png"))
    run = Run(model, "ü" * 125 + ".png", explain=True)
    assert run.code == 0
    assert len(os.listdir("overlays")) == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_what_cannot_be_written_costs_no_answer(
    model: Classifier, here: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    pictures = [photo(here / f"{number}.png") for number in range(3)]
    order: list[str] = []

    def full(self: Any, result: Prediction, path: Path) -> None:
        order.append("overlay")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("dermedge_runtime.commands.overlay_files.OverlayFiles.write", full)
    run = Run(model, *pictures, explain=True, as_json=as_json, show=lambda text: order.append("answer"))
    assert run.code == 1
    assert order[:6] == ["answer", "overlay"] * 3
    assert run.err == [
        f"dermedge: 3 heat maps could not be written, the first: {Path('overlays', '0.png.heatmap.png')}:"
        " No space left on device."
    ]


def test_no_folder_for_overlays(model: Classifier, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: Any, **options: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    pictures = [photo(here / f"{number}.png") for number in range(2)]
    monkeypatch.setattr(Path, "mkdir", refuse)
    run = Run(model, *pictures, explain=True, as_json=True)
    assert (run.code, [record["overlay"] for record in run.records]) == (1, [None, None])
    assert run.err == ["dermedge: 2 heat maps could not be written, the first: overlays: Permission denied."]


def test_a_report_that_cannot_be_written_costs_no_answer(model: Classifier, here: Path) -> None:
    photo(here / "a.png")
    (here / "file").touch()
    run = Run(model, "a.png", report=Path("file", "r.html"), as_json=True)
    assert (run.code, len(run.out)) == (1, 1)
    assert run.err[-1].startswith("dermedge: the report could not be written: ")


def test_a_report_is_written_where_the_answer_cannot_be_printed(model: Classifier, here: Path) -> None:
    def full(text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    photo(here / "a.png")
    run = Run(model, "a.png", report=Path("r.html"), show=full)
    assert (run.code, Path("r.html").exists()) == (1, True)
    assert run.err[-1] == "dermedge: the answer could not be written: No space left on device."
    with pytest.raises(OSError, match="No space left"):
        Run(model, "a.png", show=full)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlays": Path("x")}, "--overlays says where --explain writes"),
        ({"overlays": Path("a.png"), "explain": True}, "Overlays go into a folder, and a.png is none"),
        ({"overlays": Path("data"), "explain": True}, "data is also an input"),
        ({"report": Path("data", "..", "b.html")}, "is also an input"),
        ({"report": Path("link.html")}, "link.html is also an input"),
    ],
)
def test_an_output_is_no_input(model: Classifier, here: Path, options: dict[str, Any], words: str) -> None:
    source = photo(here / "data" / "a.png").rename(here / "a.png")
    photo(here / "data" / "b.png")
    (here / "b.html").write_bytes(source.read_bytes())
    (here / "link.html").symlink_to("b.html")
    before = (here / "b.html").read_bytes()
    images = ("b.html",) if "report" in options else ("b.html", "a.png", "data")
    with pytest.raises(UsageError, match=words):
        Run(model, *images, **options)
    assert (here / "b.html").read_bytes() == before


def test_left_out_files_are_said_before_the_answers(model: Classifier, here: Path) -> None:
    photo(here / "a.png")
    (here / "b.heic").touch()
    run = Run(model, here)
    assert run.err == [f"dermedge: {here}: 1 file is no picture that dermedge reads and was left out: b.heic."]


def test_a_folder_without_pictures_stops_no_other(model: Classifier, here: Path) -> None:
    (here / "phone").mkdir()
    (here / "phone" / "b.heic").touch()
    photo(here / "a.png")
    run = Run(model, "phone", "a.png", as_json=True)
    assert run.code == 3
    assert [record["file"] for record in run.records] == ["phone", "a.png"]
    assert "only 1 .heic file" in run.records[0]["error"]


def test_no_picture_at_all_and_a_wrong_value_are_said_once(model: Classifier, here: Path) -> None:
    photo(here / "a.png")
    with pytest.raises(InputRejected, match="reads an image; give one"):
        Run(model)
    with pytest.raises(InputRejected, match="age must be a number"):
        Run(model, "a.png", "a.png", clinical={"age": 200})


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "code", "words"),
    [
        (lambda content: io.TextIOWrapper(io.BytesIO(content)), 0, ""),
        (lambda content: io.TextIOWrapper(io.BytesIO(b"")), 3, "Cannot read -: its content is no picture"),
        (lambda content: Terminal(io.BytesIO(content)), 3, "is a terminal; send a picture"),
        (lambda content: None, 3, "Standard input is closed"),
    ],
    ids=["a picture", "empty", "a terminal", "closed"],
)
def test_standard_input(
    model: Classifier,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    stream: Callable[[bytes], Any],
    code: int,
    words: str,
) -> None:
    monkeypatch.setattr(sys, "stdin", stream(photo(here / "a.png").read_bytes()))
    run = Run(model, "-", as_json=True, explain=True)
    assert (run.code, run.records[0]["file"]) == (code, "-")
    assert words in run.records[0].get("error", "")
    assert Path("overlays/stdin.heatmap.png").exists() == (code == 0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text(model: Classifier, here: Path) -> None:
    name = os.fsdecode(b"bad\xff\n.png")
    photo(here / name)
    run = Run(model, here, explain=True)
    assert run.code == 0
    assert run.out[0].startswith(r"{}\n.png: ".format(here / r"bad\udcff"))
    run = Run(model, here, as_json=True)
    assert run.records[0]["file"] == str(here / name)
    assert Run(model, name, report=Path("r.html")).code == 0


def test_the_report_shows_every_value_once_with_its_sign(model: Classifier, here: Path) -> None:
    photo(here / "a.png")
    result = model.predict("a.png", age=55, site="back")
    page = html_report(result, model.spec)
    assert result.explanation is not None and result.explanation.attribution is not None
    for name, value in (("age", "55 years"), ("sex", "unknown"), ("site", "back")):
        moved = sum(v for key, v in result.explanation.attribution.items() if key.partition("=")[0] == name)
        row = page.partition(f"<tr><td>{name}</td>")[2].partition("</tr>")[0]
        assert value in row
        assert f"{moved:+.3f}" in row
        assert f'class="{"against" if moved < 0 else "for"}"' in row
        assert page.count(f"<td>{name}</td>") == 1
    assert result.time in page and result.model_sha256 in page


def test_the_explanation_in_words_is_in_text_record_and_report(model: Classifier, here: Path) -> None:
    words = model.predict(photo(here / "a.png"), age=55).explanation_text
    assert words is not None and words.startswith("In the picture ") and "age 55 (" in words.lower()
    text = Run(model, "a.png", clinical={"age": 55}, explain=True).out[0]
    assert words in " ".join(text.split())
    assert "In the picture" not in Run(model, "a.png").out[0]
    run = Run(model, "a.png", clinical={"age": 55}, explain=True, as_json=True, report=Path("r.html"))
    assert run.records[0]["explanation_text"] == words
    assert f"<p>{escape(words)}</p>" in Path("r.html").read_text(encoding="utf-8")


def test_the_report_of_a_file_that_has_changed_is_refused(model: Classifier, here: Path) -> None:
    result = model.predict(photo(here / "a.png"))
    photo(here / "a.png", 20)
    with pytest.raises(InputRejected, match="no longer the picture"):
        html_report(result, model.spec)


def test_a_reader_that_goes_away_costs_no_overlay(here: Path) -> None:
    pictures = [photo(here / f"{name}.png", level) for name, level in (("a", 90), ("b", 150))]
    command = [sys.executable, "-m", "dermedge", "infer", *pictures, "--explain", "--device", "cpu"]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, cwd=here)
    finally:
        os.close(writing)
    assert (done.returncode, "Traceback" in done.stderr, "could not" in done.stderr) == (0, False, False)
    assert sorted(path.name for path in (here / "overlays").iterdir()) == ["a.png.heatmap.png", "b.png.heatmap.png"]
