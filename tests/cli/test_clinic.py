"""A clinic's own table from its schema to predictions, on tiny pictures, as its engineer would do it."""

import json
import re
from pathlib import Path

import pytest
from clinic import SCHEMA, many_rows, write_clinic

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clinic")
    write_clinic(folder / "data", many_rows(30))
    return folder


@pytest.fixture(scope="module")
def run(cli_here, clinic: Path) -> Path:
    done = cli_here(
        *("train", "--data", "data", "--schema", "data/clinic.toml", "--image-size", 32, "--epochs", 1),
        *("--per-class", 8, "--batch-size", 12),
        cwd=clinic,
    )
    assert done.returncode == 0, done.stderr
    assert "30 images; leak check: 0 of" in done.stderr and "show a patient that is also in training" in done.stderr
    return clinic / "runs" / "cross_attention"


@pytest.fixture(scope="module")
def model(cli_here, clinic: Path, run: Path) -> Path:
    done = cli_here("export", "--int8", "--min-agreement", 0, "--max-drop", 100, "--min-heatmap", -1, cwd=clinic)
    assert done.returncode == 0, done.stderr
    assert "melanoma recall not compared (the schema names no melanoma class)" in done.stdout
    return clinic / "models" / "cross_attention-int8.onnx"


def test_the_run_holds_the_whole_schema(run: Path) -> None:
    record = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert record["schema"]["name"] == "Example clinic 2024"
    assert record["classes"] == ["benign", "malignant", "other"]
    assert record["allow_missing_images"] is False
    assert (run / "split.csv").read_text(encoding="utf-8").startswith("image_id,patient_id,split\n")


def test_everything_after_the_training_needs_no_schema_file(cli_here, clinic: Path, model: Path) -> None:
    schema = clinic / "data" / "clinic.toml"
    schema.rename(schema.with_suffix(".moved"))
    try:
        done = cli_here("evaluate", "--json", cwd=clinic)
        assert done.returncode == 0, done.stderr
        for scores in json.loads(done.stdout)["results"].values():
            assert scores["classes"] == ["benign", "malignant", "other"]
        done = cli_here("train", "--resume", cwd=clinic)
        assert done.returncode == 0, done.stderr
    finally:
        schema.with_suffix(".moved").rename(schema)


def test_infer_reads_the_clinics_fields(cli, clinic: Path, model: Path) -> None:
    picture = clinic / "data" / "photos" / "p1.jpg"
    given = ("--age", 55, "--field", "site=Kopf", "--field", "itch=Yes")  # synonyms, as the table has them
    done = cli("infer", picture, *given, "--json", "--explain", cwd=clinic)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert list(record["probabilities"]) == ["benign", "malignant", "other"]
    assert set(record["explanation"]["relevance_by_field"]) == {"age", "site", "itch"}
    own = cli("infer", picture, "--age", 55, "--field", "site=head", "--field", "itch=true", "--json", cwd=clinic)
    assert json.loads(own.stdout)["probabilities"] == record["probabilities"]
    refused = cli("infer", picture, "--field", "confirmed=true", cwd=clinic)
    assert refused.returncode == 3
    assert "no clinical field 'confirmed'; it reads age, site, itch" in refused.stderr


def test_the_file_describes_the_clinics_data(cli, clinic: Path, model: Path) -> None:
    record = json.loads(cli("inspect", model, "--json", cwd=clinic).stdout)
    assert record["features"] == [
        *("age", "age=unknown", "site=head", "site=trunk", "site=limb", "site=unknown"),
        *("itch=false", "itch=true", "itch=unknown"),
    ]
    assert record["licence"].endswith("Example clinic 2024: internal use only")
    assert record["training"]["schema"] == "Example clinic 2024"
    assert record["parity"]["melanoma"] is record["parity"]["melanoma_recall"] is None


def test_a_card_of_data_that_nobody_can_get_gives_no_place(cli_here, clinic: Path, run: Path, model: Path) -> None:
    done = cli_here("card", model, "--run", run, "--out", "card.md", cwd=clinic)
    assert done.returncode == 0, done.stderr
    text = (clinic / "card.md").read_text(encoding="utf-8")
    assert re.search(r"^Example clinic 2024, \d+ training, ", text, re.MULTILINE), text


@pytest.mark.usefixtures("own_threads")
def test_bench_finds_a_patient_for_any_schema(cli_here, clinic: Path, model: Path) -> None:
    done = cli_here("bench", model, "--devices", "cpu", "--batch", 1, "--rounds", 3, "--no-cold", cwd=clinic)
    assert done.returncode == 0, done.stderr


def test_masks_that_the_schema_does_not_name_are_3(cli_here, clinic: Path, model: Path) -> None:
    done = cli_here("explain", "--masks", "--limit", 1, cwd=clinic)
    assert done.returncode == 3
    assert "names no folder of lesion masks" in done.stderr


@pytest.mark.parametrize(
    ("schema", "code", "words"),
    [
        ("ham10000", 3, ["holds no HAM10000_metadata.csv", "--schema"]),
        ("clinik", 3, ["no schema 'clinik'", "ham10000, isic_2018, isic_2019"]),
        ("data/none.toml", 3, ["none.toml cannot be read"]),
        ("broken.toml", 3, ["broken.toml is no TOML file"]),
        ("column.toml", 3, ["lacks the columns Sight", "The columns there are: Ward, Patient"]),
    ],
)
def test_a_wrong_schema_is_one_sentence_and_leaves_nothing(cli_here, clinic: Path, schema, code, words) -> None:
    (clinic / "broken.toml").write_text(SCHEMA.replace("[table]", "[table"), encoding="utf-8")
    (clinic / "column.toml").write_text(SCHEMA.replace('"Site"', '"Sight"'), encoding="utf-8")
    done = cli_here("train", "--data", "data", "--schema", schema, "--run", "new", cwd=clinic)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1 and all(word in done.stderr for word in words), done.stderr
    assert not (clinic / "new").exists()


def test_a_run_is_not_resumed_with_another_schema(cli_here, clinic: Path, run: Path) -> None:
    done = cli_here("train", "--resume", "--schema", "pad_ufes_20", "--allow-missing-images", cwd=clinic)
    assert done.returncode == 2
    assert "schema Example clinic 2024 -> pad_ufes_20" in done.stderr and "allow_missing_images" in done.stderr
