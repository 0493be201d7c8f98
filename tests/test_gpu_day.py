"""The command that does all that wants a GPU: its steps are commands that exist, and it goes on where it ended."""

import csv
from pathlib import Path

import pytest
from docs.parse_command import check

import benchmarks.gpu_day as gpu_day


@pytest.mark.parametrize("small", [False, True])
def test_every_step_is_a_command_that_exists(small: bool) -> None:
    steps = list(gpu_day.steps(Path("data"), Path("out"), "cuda", small=small))
    assert len({step.name for step in steps}) == len(steps) and len({step.done for step in steps}) == len(steps)
    dermedge = [step for step in steps if "dermedge" in step.command]
    for step in dermedge:
        check(step.command[step.command.index("dermedge") + 1 :])
    others = [step for step in steps if step not in dermedge]
    assert [step.name for step in others] == ["latency-providers", "latency-torch"]


def test_what_is_done_is_not_done_again_and_a_training_goes_on(tmp_path: Path, capsys) -> None:
    first = next(gpu_day.steps(tmp_path, tmp_path, "cuda"))
    assert not first.is_done and "--resume" not in first.to_run
    _write_history(first.done, first.epochs - 1)
    assert not first.is_done and first.to_run[-1] == "--resume"
    _write_history(first.done, first.epochs)
    assert first.is_done
    done = gpu_day.summary([first])[first.name]
    assert done["hours"] == round(first.epochs * 36 / 3600, 3) and done["best"]["epoch"] == "2"
    assert gpu_day.main(["--data", str(tmp_path), "--out", str(tmp_path), "--only", "teacher", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{first.name}: done before" and " train --data " in lines[1] and len(lines) == 2


def test_a_step_that_fails_ends_the_command_with_its_code(tmp_path: Path, capsys) -> None:
    arguments = ["--data", str(tmp_path / "nothing"), "--out", str(tmp_path / "out"), "--only", "teacher-lite1"]
    assert gpu_day.main([*arguments, "--device", "cpu", "--small"]) == 3
    assert "teacher-lite1 ended with exit code 3" in capsys.readouterr().err
    assert not (tmp_path / "out" / "summary.json").exists()


def _write_history(run: Path, epochs: int) -> None:
    run.mkdir(exist_ok=True)
    with (run / "history.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["epoch", "seconds", "images_per_second", "best"])
        writer.writerows([epoch + 1, 36, 100, epoch < 2] for epoch in range(epochs))
