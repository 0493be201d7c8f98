"""The options of the workshop's commands: made of the settings, none of before is gone, help and refusals that help."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dermedge.commands import SUMMARIES
from dermedge.commands.workshop import COMMANDS, group, run
from dermedge.config import RequestedSettings
from dermedge.setting_fields import settings_of
from dermedge_runtime.errors import DermedgeError, UsageError

GROUP = group()
OF_THE_JOB = {
    "--data",
    "--schema",
    "--allow-missing-images",
    "--start-from",
    "--pretrained",
    "--untrained",
    "--download",
    "--pretrained-file",
    "--embeddings",
    "--teacher",
    "--synthetic",
    "--recipe",
    "--compile",
    "--run",
    "--runs",
    "--resume",
}
OF_THE_JOB |= {"--overwrite"}
"""Options of `train` that are no settings."""
OF_EVERY_CELL = {"fusion", "image_branch", "protocol", "seed", "split_seed", "freeze_image_branch"}
OF_EVERY_CELL |= {"temperature", "teacher_weight"}
"""Settings that a comparison chooses itself, or has no use for."""

# Every option there was before, with a value that it took.
RUN = "--fusion gated --run r --runs rs --data d"
SETTINGS = (
    "--image-size 128 --jpeg-detail 1 --hair-removal --colour-constancy --epochs 3 --batch-size 8"
    " --learning-rate 1e-4 --weight-decay 1"
    " --per-class 9 --dropout 0 --balance 0.5 --hide-clinical 0.1 --unknown impute --mixup 0.2 --cutmix 1"
    " --class-weights 0.5 --focal 2 --label-smoothing 0.1 --logit-adjustment 1 --colour 0.1 --schedule cosine --ema 0.9"
    " --precision fp16 --device cpu --flips --no-flips --rotation 45 --scaling 0 --noise 0"
)
LIMITS = "--min-agreement 90.5 --max-drop 3 --min-heatmap -0.5"
BEFORE = {
    "train": f"{RUN} {SETTINGS} --protocol refit --seed 4294967295 --schema x.toml --allow-missing-images"
    " --start-from r --freeze-image-branch --feature-views 0 --compile --no-compile --resume --overwrite",
    "branches": "resnet* --image-size 160 --json",
    "recipes": "ou2022 --json",
    "evaluate": f"{RUN} --models m --split validation --device openvino --flips --json",
    "export": f"{RUN} --models m --fp16 --int8 --target rtx --engine --gpu rtx4060 --compute-capability 8.9,12.0"
    f" --max-batch 1024 --ig-steps 50 --sensitivity --no-explanations {LIMITS} --json",
    "explain": f"{RUN} --models m --per-class 12 --limit 1 --masks --json",
    "compare": f"{SETTINGS} --data d --folder f --fusions all --protocols paper --seeds 100 --image-branch shared"
    f" --head-epochs 1 --feature-views 64 --int8 --no-int8 --latency --no-latency {LIMITS} --report p.html --json",
    "ensemble": "a b --run r --data d --overwrite --json",
    "synthesise": "--data d --classes df,vasc --count 5 --out m --image-size 64 --steps 10 --seed 1 --overwrite --json",
    "prior-shift": f"auto {RUN} --json",
    "calibrate": f"m.onnx {RUN} --sensitivity 0.9 --coverage 0.8 --out n.onnx --json",
    "card": "m.onnx --run r --data d --note a --note b --out o.md",
    "demo": "--folder f --epochs 1",
}


def parsed(word: str, line: str) -> dict:
    """What a command is called with."""
    return GROUP.commands[word].make_context(word, shlex.split(line)).params


def options_of(word: str) -> dict:
    """Parameters of a command by their names on the command line, without --help."""
    return {name: each for each in GROUP.commands[word].params for name in (*each.opts, *each.secondary_opts)}


def help_of(word: str, **environment: str) -> str:
    code = f"import sys; sys.argv = ['dermedge', {word!r}, '--help']; from dermedge.cli import main; main()"
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "COLUMNS")}
    done = subprocess.run([sys.executable, "-c", code], env={**kept, **environment}, capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode()


def examples_of(word: str) -> list[str]:
    return re.findall(r"^ +(dermedge .*)$", COMMANDS[word].__doc__ or "", flags=re.MULTILINE)


def test_every_setting_has_an_option_and_every_other_option_is_of_the_job():
    settings = {f"--{each.option.replace('_', '-')}" for each in settings_of(RequestedSettings)}
    options = {name for name in options_of("train") if name.startswith("--") and not name.startswith("--no-")}
    assert len(settings) > 30
    assert options == settings | OF_THE_JOB


@pytest.mark.parametrize("word", ["train", "compare"])
def test_an_option_is_what_its_setting_is(word):
    options = options_of(word)
    for setting in settings_of(RequestedSettings):
        name = f"--{setting.option.replace('_', '-')}"
        if word == "compare" and setting.name in OF_EVERY_CELL:
            assert name not in options or options[name].hidden
            continue
        option = options[name]
        assert (option.default, option.help, option.rich_help_panel) == (setting.default, setting.help, setting.group)
        assert setting.range in option.metavar and all(choice in option.metavar for choice in setting.choices)


@pytest.mark.parametrize("word", list(COMMANDS))
def test_every_option_of_before_is_accepted(word):
    given = [text for text in shlex.split(BEFORE[word]) if text.startswith("--")]
    assert given and set(given) <= set(options_of(word))
    parsed(word, BEFORE[word])


def test_values_arrive_as_what_they_are():
    found = parsed("train", BEFORE["train"])
    assert (found["epochs"], found["learning_rate"], found["schedule"], found["flips"]) == (3, 1e-4, "cosine", False)
    assert (found["run"], found["data"], found["seed"]) == (Path("r"), Path("d"), 2**32 - 1)
    assert parsed("card", BEFORE["card"])["notes"] == ["a", "b"]
    assert parsed("export", "")["models"] == Path("models")


@pytest.mark.parametrize("word", list(COMMANDS))
def test_the_summary_is_the_one_of_the_list_of_commands(word):
    assert (COMMANDS[word].__doc__ or "").splitlines()[0] == SUMMARIES[word]


@pytest.mark.parametrize("word", list(COMMANDS))
def test_examples_are_commands_that_work(word):
    examples = examples_of(word)
    assert len(examples) >= 2
    for example in examples:
        program, command, *arguments = shlex.split(example)
        assert (program, command) == ("dermedge", word)
        parsed(word, shlex.join(arguments))


@pytest.mark.parametrize("word", list(COMMANDS))
def test_help_is_whole_in_a_pipe(word, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert GROUP.main([word, "--help"], prog_name="dermedge", standalone_mode=False) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    lines = [line.strip() for line in text.splitlines()]
    assert SUMMARIES[word] in " ".join(lines)
    for example in examples_of(word):
        assert example in lines, "on a line of its own, to be copied"
    for name, option in options_of(word).items():
        assert option.hidden or name in text or not name.startswith("-"), name


def test_help_can_be_read_where_colours_and_boxes_cannot(synthetic_data):
    text = help_of("train", NO_COLOR="1", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert text.isascii() and "\x1b" not in text
    for panel in ("Data", "Network", "Training", "Classes and loss", "Augmentation", "Machine", "Run"):
        assert f" {panel} -" in text


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("train --epoch 3", "No such option --epoch; did you mean --epochs?"),
        ("train --no-flip", "No such option --no-flip; did you mean --no-flips?"),
        ("evaluate --classes ACK", "--classes takes pairs such as ACK=akiec,..., got 'ACK'."),
        ("evaluate --classes A=x,A=y", "--classes names A twice."),
        ("evaluate --fields gender=", "--fields takes pairs such as gender=sex,..., got 'gender='."),
        ("evaluate --out o", "--out is about --model: give both or neither."),
        ("evaluate --allow-missing-images", "--allow-missing-images is about --model: give both or neither."),
        (
            "evaluate --model m.onnx --data d --split validation",
            "--split is about a run, and --model scores a file without one: leave one of them out.",
        ),
        ("evaluate --model m.onnx", "--model needs --data, the folder of the data set that the file is scored on."),
        ("evaluate --zzz", "No such option --zzz. See dermedge evaluate --help."),
        ("train --epochs 0", "--epochs takes a whole number from 1 up, got '0'."),
        ("train --epochs 2.5", "--epochs takes a whole number from 1 up, got '2.5'."),
        ("train --seed 4294967296", "--seed takes a whole number from 0 to 4294967295, got '4294967296'."),
        ("train --dropout 1", "--dropout takes a number from 0 to below 1, got '1'."),
        ("train --learning-rate inf", "--learning-rate takes a finite number above 0, got 'inf'."),
        (
            "train --prior-shift often",
            "--prior-shift takes a number from 0 to 5, or auto, got 'often'.",
        ),
        ("train --temperature 3", "--temperature is about --teacher: give both or neither."),
        ("train --teacher-weight 1", "--teacher-weight is about --teacher: give both or neither."),
        ("train --noise nan", "--noise takes a finite number from 0 to 1, got 'nan'."),
        ("train --protocol papr", "--protocol takes grouped, refit or paper, got 'papr'; did you mean paper?"),
        ("compare --device gpu", "--device takes auto, cpu or cuda, got 'gpu'."),
        ("compare --image-branch own", "--image-branch is now called --trunk: write --trunk own."),
        ("explain --per-class 13", "--per-class takes a whole number from 1 to 12, got '13'."),
        ("explain --limit x", "--limit takes a whole number from 1 up, got 'x'."),
        ("export --max-drop 101", "--max-drop takes a number from 0 to 100, got '101'."),
        ("export --models ''", "--models takes a path, which must not be empty."),
        (
            "export --any-size --engine",
            "--any-size and --engine exclude each other: TensorRT has no resizing with antialias."
            " Leave one of them out.",
        ),
        ("card", "card needs MODEL. See dermedge card --help."),
        ("demo --epochs", "--epochs needs a value."),
        ("export --int8=yes", "--int8 takes no value."),
        ("demo here", "demo takes no argument, got 'here'."),
        ("evaluate -- --json", "evaluate takes no argument, got '--json'."),
        ("card m.onnx n.onnx --run r", "card takes at most one MODEL, got also 'n.onnx'."),
        ("train --epohcs 3", "No such option --epohcs; did you mean --epochs?"),
        ("train --epo 3", "No such option --epo; did you mean --epochs?"),
        ("train --data --epochs 3", "--data needs a value, got --epochs; write --data=--epochs if that is the value."),
        ("export --run --int8", "--run needs a value, got --int8; write --run=--int8 if that is the value."),
        ("train --epochs 1_0", "--epochs takes a whole number from 1 up, got '1_0'."),
        ("compare --seeds +-3", "--seeds takes a whole number from 1 to 100, got '+-3'."),
        (f"compare --seeds {'9' * 900}", f"--seeds takes a whole number from 1 to 100, got '{'9' * 900}'."),
        (f"train --epochs {'9' * 5000}", f"--epochs takes a whole number from 1 up, got '{'9' * 99}..."),
    ],
)
def test_a_mistake_is_one_sentence(cli_here, tmp_path, line, sentence):
    done = cli_here(*shlex.split(line), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"dermedge: {sentence}\n")


@pytest.mark.parametrize("word", ["evaluate", "export", "explain", "card m.onnx"])
def test_a_run_is_found_by_its_image_branch_and_one_that_is_not_there_names_those_that_are(cli_here, tmp_path, word):
    (tmp_path / "runs" / "efficientnet_lite1-gated").mkdir(parents=True)
    (tmp_path / "runs" / "efficientnet_lite1-gated" / "config.json").touch()
    done = cli_here(*word.split(), "--fusion", "gated", "--image-branch", "efficientnet_lite0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("dermedge: There is no training run in runs/efficientnet_lite0-gated.")
    assert done.stderr.endswith("runs has efficientnet_lite1-gated.\n")
    done = cli_here(*word.split(), "--image-branch", "efficientnet_lite", cwd=tmp_path)
    assert done.returncode == 2 and "There is no image branch 'efficientnet_lite'; did you mean" in done.stderr


@pytest.mark.parametrize("line", ["train --epohcs 3 -h", "train --data --help", "card a b --help"])
def test_help_comes_before_every_refusal(cli_here, tmp_path, line):
    done = cli_here(*shlex.split(line), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert SUMMARIES[line.split()[0]] in " ".join(done.stdout.split())


def test_help_is_there_where_a_terminal_does_not_know_its_width():
    assert "--epochs" in help_of("train", COLUMNS="0")


def test_a_schema_is_never_left_out_by_an_empty_word(cli_here, tmp_path):
    done = cli_here("train", "--data", ".", "--schema", "", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "") and "There is no schema ''" in done.stderr


def test_a_comparison_is_refused_to_several_processes_whatever_their_number_is(cli_here, tmp_path, monkeypatch):
    for number in ("2", "x"):
        monkeypatch.setenv("WORLD_SIZE", number)
        done = cli_here("compare", "--data", ".", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == "dermedge: A comparison is the work of one process: torchrun is for `dermedge train`.\n"


def completed(words: str, **environment: str) -> list[str]:
    count = len(words.split()) - (not words.endswith(" "))
    asked = {"_DERMEDGE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    command = [sys.executable, "-m", "dermedge"]
    return subprocess.check_output(command, env={**os.environ, **asked, **environment}, text=True).split()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("dermedge in", ["infer", "inspect"]),
        ("dermedge ex", ["export", "explain"]),
        ("dermedge train --precision ", ["auto", "fp32", "bf16", "fp16"]),
        ("dermedge compare --tru", ["--trunk"]),
    ],
)
def test_the_shell_completes_commands_options_and_choices(words, found):
    assert completed(words) == found


def test_the_script_for_the_shell_is_shown():
    command = [sys.executable, "-m", "dermedge", "--show-completion"]
    shown = subprocess.check_output(["bash", "-c", f"{shlex.join(command)}; true"], text=True)
    assert "complete -o default -F _dermedge_completion dermedge" in shown


def test_a_command_that_is_interrupted_says_so(cli_here, tmp_path, monkeypatch):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dermedge.commands.demo_steps.run_demo", interrupted)
    done = cli_here("demo", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "dermedge: stopped.\n")


def test_an_ensemble_takes_any_number_of_runs(tmp_path: Path):
    assert parsed("ensemble", "a b c --run e")["members"] == [Path("a"), Path("b"), Path("c")]
    with pytest.raises(DermedgeError, match="There is no training run in"):
        run(["ensemble", *(str(tmp_path / name) for name in "abc"), "--run", str(tmp_path / "e")])
    with pytest.raises(UsageError, match="ensemble needs RUN"):
        run(["ensemble"])
