"""`dermedge compare` from its options: usage, the page alone, exit codes."""

import json

import pytest


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--fusions", "", "No fusion was given; known are all, "),
        (
            "--protocols",
            "grouped,papers",
            "Unknown protocol 'papers'; known are all, grouped, paper. Did you mean paper?",
        ),
        ("--trunk", "none", "--trunk takes own or shared, got 'none'."),
        ("--image-branch", "shared", "--image-branch is now called --trunk: write --trunk shared."),
        ("--image-branch", "resnet18", "takes several image branches: write --image-branches resnet18."),
        ("--image-branches", "efficientnet", "There is no image branch 'efficientnet'; did you mean efficientnet_"),
        ("--recipes", "ou2023", "There is no recipe 'ou2023'; dermedge has "),
        ("--recipes", ",", "--recipes takes names of recipes, comma-separated, or all"),
        ("--seeds", "0", "--seeds takes a whole number from 1 to 100, got '0'."),
    ],
)
def test_usage(cli_here, synthetic_data, tmp_path, option, value, said):
    done = cli_here("compare", "--data", synthetic_data, "--folder", tmp_path / "c", option, value)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "c").exists()


def test_torchrun_does_not_compare(cli_here, synthetic_data, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = cli_here("compare", "--data", synthetic_data, "--folder", tmp_path / "c")
    assert done.returncode == 2 and "torchrun is for `dermedge train`" in done.stderr
    assert not (tmp_path / "c").exists()


def test_an_unknown_fusion_names_the_nearest(cli_here, synthetic_data, tmp_path):
    done = cli_here("compare", "--data", synthetic_data, "--folder", tmp_path / "c", "--fusions", "cross_atention")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean cross_attention?" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "c").exists()


def test_without_data_nothing_is_written(cli_here, tmp_path):
    done = cli_here("compare", "--folder", tmp_path / "c")
    assert done.returncode == 3 and "No data folder was given." in done.stderr
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("folder", "report", "data", "code", "said"),
    [
        ("c", "r.html", None, 1, "There is no comparison in"),
        (".", "r.html", ".", 2, "leave --data out"),
        (".", ".", None, 2, "is a folder; name a file."),
    ],
)
def test_a_report_needs_a_comparison_and_no_data(cli_here, tmp_path, folder, report, data, code, said):
    given = () if data is None else ("--data", tmp_path / data)
    done = cli_here("compare", "--folder", tmp_path / folder, "--report", tmp_path / report, *given)
    assert done.returncode == code and said in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_from_the_data_to_the_page_and_the_page_again(cli, cli_here, synthetic_data, tmp_path):
    folder = tmp_path / "c"
    wanted = ("--fusions", "clinical_only", "--protocols", "grouped", "--seeds", 1, "--epochs", 1, "--per-class", 4)
    done = cli("compare", "--data", synthetic_data, "--folder", folder, *wanted, "--no-int8")
    assert done.returncode == 0, done.stderr
    assert "grouped, clinical_only (none)" in done.stdout
    assert "[1/1] grouped, seed 0, clinical_only" in done.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    again = cli_here("compare", "--folder", folder, "--report", tmp_path / "again.html", "--json")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    assert [row["seeds"] for row in json.loads(again.stdout)["rows"] if row["seeds"]] == [[0]]
