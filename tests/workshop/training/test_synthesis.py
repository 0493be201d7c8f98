"""Generated pictures: of the training split alone, whole or not at all; a training reads them and says so."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dermedge
from dermedge.commands.workshop import run
from dermedge.data.files.content_hashes import hash_file
from dermedge.data.ham10000 import read_samples
from dermedge.models.picture_generator import NOISE, PictureGenerator, PictureJudge
from dermedge.training import generator_training, synthesis
from dermedge.training.generator_training import make_pictures, train_generator
from dermedge.training.made_pictures import MadePictures
from dermedge.training.run import Run
from dermedge.training.train import Trainer
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError

pytestmark = pytest.mark.usefixtures("narrow_trunk")
SMALL = {"image_size": 32, "steps": 2}
SHORT = {"fusion": "concat", "image_size": 32, "epochs": 2, "per_class": 4, "batch_size": 14}


@pytest.fixture(scope="module", autouse=True)
def few_lesions() -> None:
    """The generated data have fewer lesions of a class than a real generator needs; small batches are fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthesis, "FEWEST_LESIONS", 2)
        patch.setattr(generator_training, "_BATCH", 8)
        yield


@pytest.fixture(scope="module")
def made(synthetic_data: Path, few_lesions: None, tmp_path_factory: pytest.TempPathFactory) -> MadePictures:
    out = tmp_path_factory.mktemp("made") / "made"
    return dermedge.synthesise(synthetic_data, ["df", "vasc"], 3, out, **SMALL)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_both_networks_have_the_size_and_hear_the_class(size):
    torch.manual_seed(0)
    generator, judge = PictureGenerator(7, size).eval(), PictureJudge(7, size).eval()
    noise = torch.randn(1, NOISE).expand(2, -1)
    with torch.no_grad():
        pictures = generator(noise, torch.tensor([0, 1]))
        scores = judge(pictures[:1].expand(2, -1, -1, -1), torch.tensor([0, 1]))
    assert pictures.shape == (2, 3, size, size) and pictures.min() >= 0 and pictures.max() <= 1
    assert not torch.equal(pictures[0], pictures[1]) and scores[0] != scores[1]


def test_a_generator_learns_the_colour_of_a_class(tmp_path, synthetic_data):
    samples = []
    for number, sample in enumerate(read_samples(synthetic_data)[:12]):
        label, colour = number % 2, [(220, 60, 40), (40, 60, 220)][number % 2]
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{number}.png")
        samples.append(replace(sample, path=tmp_path / f"{number}.png", label=label))
    generator = train_generator(samples, 2, size=32, steps=60, seed=0, device=torch.device("cpu"))
    red, blue = (make_pictures(generator, label, 8, torch.Generator().manual_seed(1)).float() for label in (0, 1))
    redder = (red[..., 0] - red[..., 2]).mean() - (blue[..., 0] - blue[..., 2]).mean()
    assert redder > 40, "two classes of one colour each are told apart within 60 steps"


def test_pictures_of_one_class_are_pulled_apart():
    noise, picture = torch.randn(2, 4, NOISE), torch.rand(4, 3, 8, 8)
    alike = (picture + 0.01 * torch.rand(4, 3, 8, 8)).requires_grad_()
    before = generator_training._alikeness(picture, alike, noise)
    assert before > 2 * generator_training._alikeness(picture, torch.rand(4, 3, 8, 8), noise)
    assert torch.isfinite(generator_training._alikeness(picture, picture, noise))
    before.backward()
    assert (alike.grad[alike > picture] < 0).all(), "what is brighter is to become brighter still"


def test_the_pull_is_part_of_a_training(synthetic_data, monkeypatch):
    samples = read_samples(synthetic_data)[:8]

    def spread(weight: float) -> float:
        monkeypatch.setattr(generator_training, "_SEEKING", weight)
        generator = train_generator(samples, 7, size=32, steps=20, seed=0, device=torch.device("cpu"))
        return float(make_pictures(generator, 0, 16, torch.Generator().manual_seed(1)).float().std(0).mean())

    assert spread(10.0) > 1.2 * spread(0.0)


def test_the_folder_says_what_is_in_it_and_where_it_comes_from(made, synthetic_data):
    samples = read_samples(synthetic_data)
    record = json.loads((made.path / "made.json").read_text())
    assert made.counts == {"df": 3, "vasc": 3} and record["trained_on"]["split_seed"] == 0
    run_split = synthesis.make_split(samples, "grouped", 0)
    trained_on = run_split.select(samples, "train")
    for each in made.samples(synthesis.load_schema("ham10000")):
        assert np.asarray(Image.open(each.path)).shape == (32, 32, 3)
        assert each.image_id == each.lesion_id == each.path.stem
        assert any(each.label == other.label and each.clinical == other.clinical for other in trained_on)


def test_the_same_seed_makes_the_same_pictures(made, synthetic_data, tmp_path):
    again = dermedge.synthesise(synthetic_data, ["df", "vasc"], 3, tmp_path / "made", **SMALL)
    assert again.record.files == made.record.files


def test_a_training_reads_them_and_goes_on_as_it_began(made, synthetic_data, tmp_path):
    whole = dermedge.train(synthetic_data, run=tmp_path / "a", synthetic=made.path, prior_shift=1.0, **SHORT)
    samples = whole.samples()
    stopped = dermedge.train(synthetic_data, run=tmp_path / "b", synthetic=made.path, prior_shift=1.0, **SHORT)
    stopped.checkpoint_file.unlink()
    Trainer(stopped.config, samples, stopped).run_epoch(0)
    dermedge.resume(stopped.path, synthetic=made.path)
    assert Run.open(stopped.path).weights_sha256 == whole.weights_sha256
    plain = dermedge.train(synthetic_data, run=tmp_path / "c", prior_shift=1.0, **SHORT)
    assert plain.weights_sha256 != whole.weights_sha256
    assert plain.split.sha256 == whole.split.sha256, "the split is one of photographs"
    recorded = whole.record["synthetic"]
    assert (recorded["sha256"], recorded["pictures"]) == (made.sha256, made.counts)
    trainer = Trainer(whole.config, samples, whole)
    assert len(trainer.data) == len(whole.split.ids("train")) + 6
    assert trainer.real == slice(len(whole.split.ids("train"))), "frequencies and medians are those of photographs"
    spec = dermedge_spec(whole)
    assert spec.training["synthetic"] == {"sha256": made.sha256, "pictures": made.counts}


def dermedge_spec(run: Run):
    from dermedge_export.description import describe

    return describe(run, "fp32")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": ["dff"]}, "HAM10000 has no class 'dff'; known are .*did you mean df"),
        ({"classes": ["df", "df"]}, "The class df is named twice"),
        ({"image_size": 48}, "There is no image size '48'; known are 32, 64, 128"),
        ({"count": 0}, "count takes a whole number from 1 to 10000, got 0"),
        ({"steps": 1.5}, r"steps takes a whole number from 1 to 1000000, got 1\.5"),
        ({"protocol": "random"}, "There is no protocol 'random'"),
    ],
    ids=str,
)
def test_what_cannot_be_made_is_one_sentence(synthetic_data, tmp_path, change, sentence):
    given = {"data": synthetic_data, "classes": ["df"], "count": 1, "out": tmp_path / "made", **SMALL, **change}
    with pytest.raises(UsageError, match=sentence):
        dermedge.synthesise(**given)
    assert not list(tmp_path.iterdir())


def test_a_class_with_few_lesions_is_refused(synthetic_data, tmp_path, monkeypatch):
    monkeypatch.setattr(synthesis, "FEWEST_LESIONS", 1000)
    with pytest.raises(InputRejected, match=r"There are \d+ lesions of df to train a generator on, and of fewer than"):
        dermedge.synthesise(synthetic_data, ["df"], 1, tmp_path / "made", **SMALL)


def test_nothing_of_others_is_replaced(made, synthetic_data, tmp_path):
    own = tmp_path / "made"
    shutil.copytree(made.path, own)

    def again(**more) -> MadePictures:
        return dermedge.synthesise(synthetic_data, ["df"], 1, own, **SMALL, **more)

    with pytest.raises(DermedgeError, match=r"holds generated pictures already\. Pass --overwrite"):
        again()
    (own / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"also holds mine\.txt, which --overwrite would remove"):
        again(overwrite=True)
    (own / "mine.txt").unlink()
    assert again(overwrite=True).counts == {"df": 1}
    assert len(list(own.iterdir())) == 3
    (own / "made.json").write_text('{"files": 3}')
    with pytest.raises(UsageError, match=r"made\.json cannot be read, .* name another folder"):
        again(overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.png").write_text("a")
    with pytest.raises(UsageError, match="holds no generated pictures: name another folder"):
        dermedge.synthesise(synthetic_data, ["df"], 1, tmp_path / "other", **SMALL)


def changed_table(folder: Path) -> None:
    (folder / "made.csv").write_text("image,class\n")


def test_what_a_killed_process_left_is_cleared_or_put_back(made, synthetic_data, tmp_path):
    beside, target = tmp_path / ".made.making", tmp_path / "made"
    (beside / "made").mkdir(parents=True)
    assert dermedge.synthesise(synthetic_data, ["df"], 1, target, **SMALL).counts == {"df": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["made"]
    target.rename(tmp_path / "kept")
    beside.mkdir()
    (tmp_path / "kept").rename(beside / "earlier")  # killed between the two renames of --overwrite
    with pytest.raises(DermedgeError, match="holds generated pictures already"):
        dermedge.synthesise(synthetic_data, ["df"], 1, target, **SMALL)
    assert MadePictures.open(target).counts == {"df": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_the_data_folder_is_no_place_for_them(tmp_path, synthetic_data):
    with pytest.raises(UsageError, match=r"is in the data folder .*, which is only read"):
        dermedge.synthesise(synthetic_data, ["df"], 1, synthetic_data / "below" / "made", **SMALL)
    assert not (synthetic_data / "below").exists()


def record_of(**changes: object) -> Callable[[Path], None]:
    """Change what `made.json` says."""

    def change(folder: Path) -> None:
        record = json.loads((folder / "made.json").read_text())
        (folder / "made.json").write_text(json.dumps(record | changes))

    return change


def table_of(old: str, new: str) -> Callable[[Path], None]:
    """Change `made.csv`, and its hash in the record, as somebody may who puts pictures of his own there."""

    def change(folder: Path) -> None:
        table = folder / "made.csv"
        assert old in table.read_text()
        table.write_text(table.read_text().replace(old, new))
        record = json.loads((folder / "made.json").read_text())
        record["files"]["made.csv"] = hash_file(table)
        (folder / "made.json").write_text(json.dumps(record))

    return change


@pytest.mark.parametrize(
    ("damage", "settings", "sentence"),
    [
        (lambda folder: shutil.rmtree(folder), {}, "There are no generated pictures in .*dermedge synthesise"),
        (lambda folder: (folder / "made.json").write_text("{}"), {}, r"made\.json is damaged \(schema: Field required"),
        (lambda folder: (folder / "made.json").write_text("[" * 100_000), {}, r"made\.json is damaged"),
        (record_of(classes=5), {}, r"made\.json is damaged \(classes: Input should be a valid"),
        (record_of(files={}), {}, r"made\.json is damaged: it does not name made\.csv"),
        (record_of(schema="PAD-UFES-20"), {}, "are made of PAD-UFES-20 with the classes"),
        (record_of(pictures={"df": 99}), {}, "it has 3 of df, 3 of vasc, and not 99 of df"),
        (table_of(",vasc,", ",nosuch,"), {}, "it has a picture of nosuch, which is no class of the data"),
        (table_of("image,class", "x,y"), {}, "its columns do not begin with image, class"),
        (table_of("made-df-0002", "made-df-0001"), {}, "it has made-df-0001 twice"),
        (table_of("made-df-0002", "mine"), {}, "it has mine, which is none of the files"),
        (table_of("sex", "gender"), {}, "and the clinical fields age, gender"),
        (table_of("male", "manly"), {}, "manly"),
        (lambda folder: (folder / "made-df-0001.png").unlink(), {}, r"made-df-0001\.png is absent"),
        (changed_table, {}, r"1 of 7 files in .* have changed since they were made, such as made\.csv"),
        (
            record_of(classes=["df", "vasc"]),
            {},
            "classes df, vasc and .* this training reads HAM10000 with",
        ),
        (lambda folder: None, {"protocol": "refit"}, "was trained on another split, so it may have seen"),
        (lambda folder: None, {"fusion": "clinical_only"}, "--synthetic adds pictures, and clinical_only reads none"),
    ],
    ids=[
        "none",
        "record",
        "depth",
        "kind",
        "no-table",
        "schema",
        "count",
        "class",
        "header",
        "twice",
        "strange",
        "fields",
        "value",
        "absent",
        "changed",
        "classes",
        "split",
        "no-pictures",
    ],
)
def test_pictures_that_cannot_be_trained_on_are_refused(made, synthetic_data, tmp_path, damage, settings, sentence):
    shutil.copytree(made.path, tmp_path / "made")
    damage(tmp_path / "made")
    with pytest.raises(DermedgeError, match=sentence):
        dermedge.train(synthetic_data, run=tmp_path / "run", synthetic=tmp_path / "made", **{**SHORT, **settings})
    assert not (tmp_path / "run" / "config.json").exists()


def test_other_pictures_in_their_place_stop_a_training_that_goes_on(made, synthetic_data, tmp_path):
    shutil.copytree(made.path, tmp_path / "made")
    begun = dermedge.train(synthetic_data, run=tmp_path / "run", synthetic=tmp_path / "made", **SHORT)
    begun.checkpoint_file.unlink()
    dermedge.synthesise(synthetic_data, ["df"], 1, tmp_path / "made", overwrite=True, **SMALL)
    with pytest.raises(DermedgeError, match=r"are others than when the run in .* began"):
        dermedge.resume(begun.path)


def test_the_command_makes_them_and_says_what_for(synthetic_data, tmp_path, capsys):
    out = tmp_path / "made"
    line = ["--data", str(synthetic_data), "--classes", "df, vasc", "--count", "2", "--out", str(out)]
    assert run(["synthesise", *line, "--image-size", "32", "--steps", "1"]) == 0
    told = capsys.readouterr().out
    assert told == f"{out}: 2 of df, 2 of vasc. For training alone: dermedge train --synthetic {out}\n"
    assert run(["synthesise", *line, "--image-size", "32", "--steps", "1", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == {"df": 2, "vasc": 2}
    with pytest.raises(UsageError, match="--classes takes words such as df,vasc, got 'df,'"):
        run(["synthesise", *line[:2], "--classes", "df,", "--out", str(out)])
