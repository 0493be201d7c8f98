"""`dermedge recipes` and `train --recipe`: what is listed, what a run says of its recipe, refusals."""

import json
from pathlib import Path

import pytest

from dermedge.recipes import measured
from dermedge.recipes.recipe_file import shipped_recipes
from dermedge_runtime import Classifier

MINE = """
title = "Gates"
authors = "Somebody"
year = 2026
different = "Gates."
deviations = ["None."]
why_it_differs = "It does not."
start = "random"
[published]
data = "none"
protocol = "none"
[settings]
fusion = "clinical_only"
dropout = 0.1
noise = 0.05
[original]
batch_size = 7
"""
TINY = ("--image-size", 32, "--epochs", 1, "--per-class", 2)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(MINE, encoding="utf-8")
    return path


def test_all_are_listed_with_what_is_missing(cli_here, tmp_path):
    done = cli_here("recipes", cwd=tmp_path)
    assert done.returncode == 0 and max(map(len, done.stdout.splitlines())) <= 160
    lines = done.stdout.splitlines()
    for name in shipped_recipes():
        assert [line for line in lines if line.startswith(f"{name} ")], name
    (texture,) = (line for line in lines if line.startswith("srivastava2022 ") and "average accuracy 0.96" in line)
    assert texture.endswith(" built") and "not built" not in done.stdout
    record = json.loads(cli_here("recipes", "--json", cwd=tmp_path).stdout)
    assert [each["name"] for each in record["recipes"]] == list(shipped_recipes())


def test_one_is_told_in_full_with_the_commands_that_train_it(cli_here, tmp_path):
    done = cli_here("recipes", "gessert2020", cwd=tmp_path)
    assert done.returncode == 0
    assert (
        "balanced accuracy 0.634 (official test" in done.stdout and "doi.org/10.1016/j.mex.2020.100864" in done.stdout
    )
    *trained, joined = [line.strip() for line in done.stdout.splitlines() if line.startswith("  dermedge ")]
    assert len(trained) == 3 and all("--class-weights 1.0" in each and "--pretrained" in each for each in trained)
    assert joined == (
        "dermedge ensemble runs/gessert2020-1 runs/gessert2020-2 runs/gessert2020-3 --run runs/gessert2020"
    )


def test_what_was_measured_is_told(cli_here, tmp_path, mine, monkeypatch):
    figure = {"mean": 0.71, "low": 0.65, "high": 0.77}
    row = {"recipe": "mine", "protocol": "grouped", "seeds": [0], "figures": {"balanced_accuracy": figure}}
    monkeypatch.setattr(measured, "measured_record", lambda: {"rows": [row, {**row, "protocol": "paper"}]})
    done = cli_here("recipes", mine, cwd=tmp_path)
    assert "measured   balanced accuracy 0.710 [0.65, 0.77]" in done.stdout and "state      built" in done.stdout


def test_an_unknown_one_names_the_nearest(cli_here, tmp_path):
    for command in (("recipes", "wang2033"), ("train", "--recipe", "wang2033")):
        done = cli_here(*command, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "") and "; did you mean wang2023?" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_a_recipe_is_trained_and_the_run_says_so(cli, cli_here, synthetic_data, tmp_path, mine):
    done = cli_here("train", "--data", synthetic_data, "--recipe", mine, *TINY, "--dropout", 0.3, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "runs" / "mine" / "config.json").read_text(encoding="utf-8"))
    assert record["recipe"] == {
        "name": "mine",
        "reference": "Somebody 2026",
        "given": {"dropout": 0.3, "epochs": 1, "image_size": 32, "per_class": 2},
    }
    settings = record["settings"]
    assert (settings["fusion"], settings["batch_size"], settings["dropout"]) == ("clinical_only", 7, 0.3)
    assert settings["augmentation"]["noise"] == 0.05
    exported = cli("export", "--run", "runs/mine", cwd=tmp_path)  # as a process of its own, as users do
    assert exported.returncode == 0, exported.stderr
    (file,) = (tmp_path / "models").glob("*.onnx")
    assert Classifier(file, "cpu").spec.training["recipe"] == record["recipe"]
    card = cli_here("card", file, "--run", "runs/mine", "--out", "mine.md", cwd=tmp_path)
    assert card.returncode == 0, card.stderr
    written = " ".join((tmp_path / "mine.md").read_text(encoding="utf-8").split())
    assert "- Trained by the recipe `mine`, after Somebody 2026: not the authors' own model. -" in written
    again = cli_here("train", "--recipe", mine, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    other = cli_here("train", "--recipe", "wang2023", "--run", "runs/mine", "--resume", cwd=tmp_path)
    assert other.returncode == 2 and "other settings: recipe mine -> wang2023. Leave them out." in other.stderr


def test_what_cannot_be_trained_says_what_is_missing(cli_here, synthetic_data, tmp_path, mine):
    mine.write_text(MINE.replace("[settings]", '[needs]\n"a text encoder" = "dermedge.models.none"\n[settings]'))
    done = cli_here("train", "--data", synthetic_data, "--recipe", mine, *TINY, cwd=tmp_path)
    assert done.returncode == 1 and "has not: a text encoder." in done.stderr
    mine.write_text(MINE + "[[members]]\nsettings = { image_size = 32 }\n[[members]]\nsettings = { image_size = 64 }\n")
    done = cli_here("train", "--data", synthetic_data, "--recipe", mine, cwd=tmp_path)
    assert done.returncode == 2 and "The recipe mine is an ensemble of 2 networks." in done.stderr
    mine.write_text(MINE.replace('"random"', '"pretrained"').replace("clinical_only", "image_only"))
    done = cli_here("train", "--data", synthetic_data, "--recipe", mine, *TINY, cwd=tmp_path)
    assert done.returncode == 2 and "no pretrained weights of dermiresnet" in done.stderr
    assert "(with a recipe: --untrained)" in done.stderr
    assert not (tmp_path / "runs" / "mine" / "config.json").exists()
