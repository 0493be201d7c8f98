"""`dermedge compare` from its options: usage, the page alone, exit codes."""

import json

import pytest
from click.testing import CliRunner, Result

from dermedge.commands.workshop import cli as command


def in_process(*arguments: object) -> Result:
    """Run the command line here: a process that imports torch takes seconds."""
    return CliRunner().invoke(command, ["compare", *map(str, arguments)])


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--fusions", "", "No fusion was given; known are all, "),
        (
            "--protocols",
            "grouped,papers",
            "Unknown protocol 'papers'; known are all, grouped, paper. Did you mean paper?",
        ),
        ("--image-branch", "none", "'none' is not one of 'own', 'shared'"),
        ("--seeds", "0", "0 is not in the range"),
    ],
)
def test_usage(synthetic_data, tmp_path, option, value, said):
    done = in_process("--data", synthetic_data, "--folder", tmp_path / "c", option, value)
    assert getattr(done.exception, "exit_code", done.exit_code) == 2
    assert said in f"{done.exception} {done.output}"
    assert not (tmp_path / "c").exists()


def test_torchrun_does_not_compare(synthetic_data, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = in_process("--data", synthetic_data, "--folder", tmp_path / "c")
    assert done.exception.exit_code == 2 and "torchrun is for `dermedge train`" in str(done.exception)
    assert not (tmp_path / "c").exists()


def test_an_unknown_fusion_names_the_nearest(cli_here, synthetic_data, tmp_path):
    done = cli_here("compare", "--data", synthetic_data, "--folder", tmp_path / "c", "--fusions", "cross_atention")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean cross_attention?" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "c").exists()


def test_without_data_nothing_is_written(tmp_path):
    done = in_process("--folder", tmp_path / "c")
    assert done.exception.exit_code == 3 and "No data folder was given." in str(done.exception)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("folder", "report", "data", "code", "said"),
    [
        ("c", "r.html", None, 1, "There is no comparison in"),
        (".", "r.html", ".", 2, "leave --data out"),
        (".", ".", None, 2, "is a folder; name a file."),
    ],
)
def test_a_report_needs_a_comparison_and_no_data(tmp_path, folder, report, data, code, said):
    given = () if data is None else ("--data", tmp_path / data)
    done = in_process("--folder", tmp_path / folder, "--report", tmp_path / report, *given)
    assert done.exception.exit_code == code and said in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_from_the_data_to_the_page_and_the_page_again(cli, synthetic_data, tmp_path):
    folder = tmp_path / "c"
    wanted = ("--fusions", "clinical_only", "--protocols", "grouped", "--seeds", 1, "--epochs", 1, "--per-class", 4)
    done = cli("compare", "--data", synthetic_data, "--folder", folder, *wanted, "--no-int8")
    assert done.returncode == 0, done.stderr
    assert "grouped, clinical_only (none)" in done.stdout
    assert "[1/1] grouped, seed 0, clinical_only" in done.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    again = in_process("--folder", folder, "--report", tmp_path / "again.html", "--json")
    assert again.exit_code == 0, again.exception
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    assert [row["seeds"] for row in json.loads(again.stdout)["rows"] if row["seeds"]] == [[0]]
