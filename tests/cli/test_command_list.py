"""The first word: the list of commands, the version, the nearest name."""

import sys

import pytest

from dermedge import __version__, cli
from dermedge.commands import SUMMARIES
from dermedge_runtime.commands import command_list
from dermedge_runtime.commands.command_line import run_command_line
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable, UsageError


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["dermedge", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code", "out", "err"),
    [
        (["--help"], 0, "Usage: dermedge COMMAND [OPTIONS]", ""),
        (["-h"], 0, "Usage: dermedge COMMAND [OPTIONS]", ""),
        ([], 2, "", "Usage: dermedge COMMAND [OPTIONS]"),
        (["--version"], 0, f"dermedge, version {__version__}\n", ""),
        (["infr"], 2, "", "dermedge: No such command infr; did you mean infer?\n"),
        (["trian", "--epochs", "3"], 2, "", "dermedge: No such command trian; did you mean train?\n"),
        (["nonsense"], 2, "", "dermedge: No such command nonsense. See dermedge --help.\n"),
        (["tra\nin\x1b[31m"], 2, "", "dermedge: No such command tra\\nin\\x1b[31m. See dermedge --help.\n"),
        ([""], 2, "", "dermedge: No such command ''. See dermedge --help.\n"),
        (["x" * 5000], 2, "", f"dermedge: No such command {'x' * 100}... See dermedge --help.\n"),
        (["--verzion"], 2, "", "dermedge: No such option --verzion; did you mean --version?\n"),
        (["--json"], 2, "", "dermedge: No such option --json. See dermedge --help.\n"),
        (
            ["--json", "infer"],
            2,
            "",
            "dermedge: The option --json stands before the command; write dermedge infer --json ...\n",
        ),
        (["infer", "--agee", "5"], 2, "", "dermedge: No such option --agee; did you mean --age?\n"),
        (
            ["inspect", "no.onnx"],
            4,
            "",
            "dermedge: The model file no.onnx cannot be read: No such file",
        ),
    ],
)
def test_the_first_word(
    arguments: list[str],
    code: int,
    out: str,
    err: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == code
    told = capsys.readouterr()
    assert (told.out[: len(out)], told.err[: len(err)]) == (out, err)
    assert bool(told.out) == bool(out)


def test_the_shell_asks_for_completion_only_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_DERMEDGE_COMPLETE", "")
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"dermedge, version {__version__}\n"


def test_the_list_names_the_commands_of_the_workshop() -> None:
    workshop = pytest.importorskip("dermedge.commands.workshop", reason="the extra `train` is not installed")
    assert list(workshop.COMMANDS) == list(SUMMARIES)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, "dermedge: stopped.\n"),
        (DeviceUnavailable("No such card."), 5, "dermedge: No such card.\n"),
        (FileNotFoundError(2, "No such file", "a.csv"), 1, "dermedge: No such file: a.csv.\n"),
        (OSError("strange"), 1, "dermedge: strange.\n"),
        (UsageError("It is \x1b[31m.\nAnd so on."), 2, "dermedge: It is \\x1b[31m.\nAnd so on.\n"),
    ],
)
def test_foreseen_errors(error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(arguments: object) -> int:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command_line(fail)
    assert ended.value.code == code
    assert capsys.readouterr() == ("", told)


def test_a_package_of_every_install_that_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, package: str) -> None:
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL")

    monkeypatch.setattr(command_list, "import_module", absent)
    with pytest.raises(DermedgeError, match=r"^pillow is not installed\. Run: pip install pillow$"):
        command_list.runtime_command("infer", [])
