"""A metadata table with bad lines: all of them are told at once, and nothing is trained."""

from pathlib import Path

from clinic import write_clinic

HEADER = "lesion_id,image_id,dx,dx_type,age,sex,localization"


def _refused(done, folder: Path) -> list[str]:
    """What is said of the table, after the sign of the program."""
    assert done.returncode == 3, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert not (folder / "runs").exists()
    return done.stderr.strip().removeprefix("dermedge: ").splitlines()


def test_forty_bad_lines_are_told_at_once_and_nothing_is_trained(cli_here, tmp_path: Path) -> None:
    good = [f"L{n},I{n},nv,histo,50,male,back" for n in range(40)]
    bad = [f"L{n},J{n},{'wart' if n % 2 else 'nv'},histo,{50 if n % 2 else 500},male,back" for n in range(40)]
    rows = [row for pair in zip(good, bad, strict=True) for row in pair]
    (tmp_path / "HAM10000_metadata.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    first, *said, last = _refused(cli_here("train", "--data", tmp_path, cwd=tmp_path), tmp_path)
    assert first == "40 rows of HAM10000_metadata.csv cannot be used:"
    assert [line.split(":")[0] for line in said] == [f"HAM10000_metadata.csv, line {3 + 2 * n}" for n in range(20)]
    assert "got 500" in said[0] and "unknown diagnosis 'wart'; known are akiec, bcc" in said[1]
    assert last == "and 20 more."


def test_everything_that_is_wrong_with_a_schema_is_told_at_once(cli_here, tmp_path: Path) -> None:
    schema = write_clinic(tmp_path)
    text = schema.read_text(encoding="utf-8").replace("licence =", "license =").replace('image = "Photo"', "image = 7")
    schema.write_text(text, encoding="utf-8")
    said = _refused(cli_here("train", "--data", tmp_path, "--schema", "clinic.toml", cwd=tmp_path), tmp_path)
    assert said == [
        "The schema clinic.toml: table.image must be a text, found a whole number, 7.",
        "The schema clinic.toml: the key license is unknown; did you mean 'licence'?",
    ]


def test_a_column_that_is_spelt_otherwise_is_named_with_the_nearest(cli_here, tmp_path: Path) -> None:
    table = tmp_path / "HAM10000_metadata.csv"
    table.write_text(HEADER.replace("localization", "localisation") + "\n", encoding="utf-8")
    (said,) = _refused(cli_here("train", "--data", tmp_path, cwd=tmp_path), tmp_path)
    assert "lacks the columns localization." in said
    assert "Its 'localisation' is not 'localization': spell it so." in said
