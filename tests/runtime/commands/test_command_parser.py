"""The parser of the edge: options anywhere, any text as a value, nearest names, one sentence for every refusal."""

from typing import Any

import pytest

from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import number, one_of, path, path_text, some_of, whole_number, whole_numbers
from dermedge_runtime.errors import UsageError


def parser(**settings: Any) -> CommandParser:
    defined = CommandParser("try", "Try 100 % of it.")
    defined.arguments("WORDS", path_text, help="Words.", **settings)
    defined.option("--age", number, metavar="NUMBER", help="Years.")
    defined.option("--name", metavar="TEXT", help="Name.")
    defined.option("--field", metavar="NAME=VALUE", dest="fields", many=True, help="Fields.")
    defined.option("--folder", path, metavar="PATH", default="there", help="Folder.")
    defined.option("--rounds", whole_number(3), metavar="NUMBER", default="30", help="Rounds.")
    defined.option("--batch", whole_numbers(1, 8), metavar="NUMBERS", default="1,4", help="Batches.")
    defined.option("--device", one_of(("cpu", "cuda", "rtx")), metavar="DEVICE", help="Where.")
    defined.option("--devices", some_of(("cpu", "cuda", "rtx")), metavar="DEVICES", help="Where.")
    defined.flag("--json", dest="as_json", help="JSON.")
    defined.flag("--cold", default=True, help="Cold.")
    defined.flag("--no-cold", dest="cold", value=False, default=True, help="Warm.")
    return defined


def parsed(*arguments: str, **settings: Any) -> dict[str, Any]:
    options = parser(**settings).parse(arguments)
    assert options is not None
    return vars(options)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], []),
        (["a", "b"], ["a", "b"]),
        (["a", "--age", "5", "b", "--json", "-", "c"], ["a", "b", "-", "c"]),
        (["--json", "--", "-a.jpg", "--age", "--"], ["-a.jpg", "--age", "--"]),
        (["a", "--"], ["a"]),
    ],
)
def test_arguments_stand_anywhere(arguments: list[str], words: list[str]) -> None:
    assert parsed(*arguments)["words"] == words


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        (["--age", "-5"], "age", -5),
        (["--age=-5"], "age", -5),
        (["--age", "-1e2"], "age", -100),
        (["--name", "-x y"], "name", "-x y"),
        (["--name", "-"], "name", "-"),
        (["--name="], "name", ""),
        (["--name", ""], "name", ""),
        (["--name=--json"], "name", "--json"),
        (["--name=a=b"], "name", "a=b"),
        (["--name", "a", "--name", "b"], "name", "b"),
        (["--field", "a=1", "--field=b=2"], "fields", ["a=1", "b=2"]),
        (["--batch", "8,1"], "batch", [8, 1]),
        (["--devices", "rtx, cpu"], "devices", ["rtx", "cpu"]),
        (["--cold", "--no-cold"], "cold", False),
        (["--no-cold", "--cold"], "cold", True),
    ],
    ids=str,
)
def test_values(arguments: list[str], name: str, value: Any) -> None:
    assert parsed(*arguments) == {**parsed(), name: value}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--agee", "5"], "No such option --agee; did you mean --age?"),
        (["--AGE", "5"], "No such option --AGE; did you mean --age?"),
        (["--hlep"], "No such option --hlep; did you mean --help?"),
        (["--ag", "5"], "No such option --ag; did you mean --age?"),
        (["--ro", "5"], "No such option --ro; did you mean --rounds?"),
        (["--dev", "cpu"], "No such option --dev. See dermedge try --help."),
        (["--f", "x"], "No such option --f. See dermedge try --help."),
        (["--agee=5"], "No such option --agee; did you mean --age?"),
        (["--nonsense"], "No such option --nonsense. See dermedge try --help."),
        (["-5"], "No such option -5. See dermedge try --help."),
        (["-json"], "No such option -json; did you mean --json?"),
        (["--age"], "--age needs a value. See dermedge try --help."),
        (["--name", "--json"], "--name needs a value, got --json; write --name=--json if that is the value."),
        (["--name", "--age=5"], "--name needs a value, got --age=5; write --name=--age=5 if that is the value."),
        (["--name", "--", "a"], "--name needs a value, got --; write --name=-- if that is the value."),
        (["--json=1"], "--json takes no value, got '1'."),
        (["--age", "x"], "--age takes a number, got 'x'."),
        (["--age", ""], "--age takes a number, got ''."),
        (["--age", "nan"], "--age takes a number, got 'nan'."),
        (["--age", "-inf"], "--age takes a number, got '-inf'."),
        (["--age", "1e999"], "--age takes a number, got '1e999'."),
        (["--folder", ""], "--folder takes a path, which must not be empty."),
        (["a", ""], "WORDS takes a path, which must not be empty."),
        (["--rounds", "2"], "--rounds takes a whole number of at least 3, got '2'."),
        (["--rounds", "1_0"], "--rounds takes a whole number of at least 3, got '1_0'."),
        (["--rounds", "3.5"], "--rounds takes a whole number of at least 3, got '3.5'."),
        (["--batch", "1,,2"], "--batch takes whole numbers from 1 to 8, separated by commas; got '1,,2'."),
        (["--batch", "9"], "--batch takes whole numbers from 1 to 8, separated by commas; got '9'."),
        (["--device", "cuad"], "--device takes cpu, cuda or rtx, got 'cuad'; did you mean cuda?"),
        (["--device", "gpu"], "--device takes cpu, cuda or rtx, got 'gpu'."),
        (["--devices", "cpu,rt"], "--devices takes words of cpu, cuda, rtx, separated by commas; got 'rt'; did"
            " you mean rtx?"),
    ],
    ids=str,
)  # fmt: skip
def test_refusals(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parser().parse(arguments)
    assert str(refused.value) == sentence


def test_too_few_and_too_many_arguments() -> None:
    with pytest.raises(UsageError, match=r"^try needs WORDS\. See dermedge try --help\.$"):
        parsed("--json", fewest=1)
    with pytest.raises(UsageError, match=r"^try takes at most one WORDS, got also 'b'\.$"):
        parsed("a", "b", most=1)
    with pytest.raises(UsageError, match=r"^none takes no argument, got 'a'\.$"):
        CommandParser("none", "Nothing.").parse(["a"])


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], ["a", "--age", "x", "-h"]])
def test_help_comes_before_every_refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert parser().parse(arguments) is None
    text = capsys.readouterr().out
    assert text.startswith("Usage: dermedge try [OPTIONS] [WORDS ...]\n\nTry 100 % of it.\n")
    assert "--folder PATH" in text
    assert "Folder. [default: there]" in text
    assert parser().parse(["--", "-h"]) is not None


def test_the_help_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, widest in (("60", 60), ("300", 110)):
        monkeypatch.setenv("COLUMNS", columns)
        defined = CommandParser("try", "Many words. " * 40)
        assert widest - 20 < max(map(len, defined.help_text().splitlines())) <= widest
