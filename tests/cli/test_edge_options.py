"""Every option of every command of the edge: its name, its default, its value, its line in the help."""

from pathlib import Path
from typing import Any

import pytest

from dermedge.batch import infer_command
from dermedge.bench import bench_command
from dermedge.evaluation.reader_study import feedback_command
from dermedge.service import serve_command
from dermedge.service.audit import audit_command
from dermedge.service.signing import sign_command, verify_command
from dermedge_runtime.commands import doctor_command, inspect_command
from dermedge_runtime.errors import ModelFileError, UsageError
from dermedge_runtime.model.shipped_model import model_in_the_box

PARSERS = {
    "infer": infer_command.parser,
    "inspect": inspect_command.parser,
    "doctor": doctor_command.parser,
    "bench": bench_command.parser,
    "serve": serve_command.parser,
    "sign": sign_command.parser,
    "verify": verify_command.parser,
    "audit": audit_command.parser,
    "feedback": feedback_command.parser,
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "infer": {
        "images": [], "model": None, "models": Path("models"), "age": [], "sex": [], "site": [], "fields": [],
        "explain": False, "overlays": None, "target": None, "report": None, "device": "auto", "as_json": False,
        "table": None, "columns": [], "id": None, "strict": False, "recursive": False, "out": None,
        "overwrite": False, "fhir": None, "workers": None, "ray": None,
    },
    "inspect": {"model": [], "as_json": False},
    "doctor": {"device": None, "as_json": False},
    "bench": {
        "models": [], "devices": ["cpu", "openvino"], "batches": [1, 32], "image": None, "run": None,
        "runs": Path("runs"), "rounds": 30, "cuda_graphs": False, "cold": True, "out": Path("bench.json"),
        "as_json": False,
    },
    "serve": {
        "host": "127.0.0.1", "port": 8000, "token_file": None, "tls_cert": None, "tls_key": None, "public_name": [],
        "model": None, "models": Path("models"), "device": "auto", "require_signature": False, "key": None,
        "audit": None, "audit_always": False, "audit_full": "stop", "feedback": None, "workers": None,
    },
    "sign": {"model": [Path("m.onnx")], "key": None, "password_file": None, "lock": False},
    "verify": {"model": [Path("m.onnx")], "key": None, "as_json": False},
    "audit": {"words": ["verify", "a.jsonl"], "expect": None, "as_json": False},
    "feedback": {
        "file": [Path("r.jsonl")], "truth": None, "case_column": None, "truth_column": None, "json_file": None,
    },
}  # fmt: skip
NEEDED = {"sign": ["m.onnx"], "verify": ["m.onnx"], "audit": ["verify", "a.jsonl"], "feedback": ["r.jsonl"]}
"""What a command does not do without."""
GIVEN = [
    ("infer", "--model", "m.onnx", "model", Path("m.onnx")),
    ("infer", "--model", "box", "model", model_in_the_box()),
    ("infer", "--models", "m", "models", Path("m")),
    ("infer", "--age", "55", "age", [55.0]),
    ("infer", "--sex", "male", "sex", ["male"]),
    ("infer", "--site", "lower extremity", "site", ["lower extremity"]),
    ("infer", "--field", "diameter=3", "fields", ["diameter=3"]),
    ("infer", "--explain", None, "explain", True),
    ("infer", "--overlays", "o", "overlays", Path("o")),
    ("infer", "--target", "mel", "target", "mel"),
    ("infer", "--report", "r.html", "report", Path("r.html")),
    ("infer", "--device", "rtx", "device", "rtx"),
    ("infer", "--json", None, "as_json", True),
    ("infer", "--table", "p.csv", "table", "p.csv"),
    ("infer", "--columns", "image=Photo", "columns", ["image=Photo"]),
    ("infer", "--id", "pid", "id", "pid"),
    ("infer", "--strict", None, "strict", True),
    ("infer", "--recursive", None, "recursive", True),
    ("infer", "--out", "r.csv", "out", "r.csv"),
    ("infer", "--overwrite", None, "overwrite", True),
    ("infer", "--fhir", "f", "fhir", Path("f")),
    ("infer", "--workers", "3", "workers", 3),
    ("infer", "--ray", "auto", "ray", "auto"),
    ("inspect", "--json", None, "as_json", True),
    ("doctor", "--device", "openvino", "device", "openvino"),
    ("doctor", "--json", None, "as_json", True),
    ("bench", "--devices", "rtx", "devices", ["rtx"]),
    ("bench", "--batch", "1,1024", "batches", [1, 1024]),
    ("bench", "--image", "a.jpg", "image", Path("a.jpg")),
    ("bench", "--run", "runs/x", "run", Path("runs/x")),
    ("bench", "--runs", "r", "runs", Path("r")),
    ("bench", "--rounds", "3", "rounds", 3),
    ("bench", "--cuda-graphs", None, "cuda_graphs", True),
    ("bench", "--cold", None, "cold", True),
    ("bench", "--no-cold", None, "cold", False),
    ("bench", "--out", "b.json", "out", Path("b.json")),
    ("bench", "--json", None, "as_json", True),
    ("serve", "--host", "0.0.0.0", "host", "0.0.0.0"),
    ("serve", "--port", "9000", "port", 9000),
    ("serve", "--token-file", "t", "token_file", Path("t")),
    ("serve", "--tls-cert", "c", "tls_cert", Path("c")),
    ("serve", "--tls-key", "k", "tls_key", Path("k")),
    ("serve", "--public-name", "ward.example", "public_name", ["ward.example"]),
    ("serve", "--model", "m.onnx", "model", Path("m.onnx")),
    ("serve", "--models", "m", "models", Path("m")),
    ("serve", "--device", "rtx", "device", "rtx"),
    ("serve", "--require-signature", None, "require_signature", True),
    ("serve", "--key", "k.pub", "key", Path("k.pub")),
    ("serve", "--audit", "a.jsonl", "audit", Path("a.jsonl")),
    ("serve", "--audit-always", None, "audit_always", True),
    ("serve", "--audit-full", "go-on", "audit_full", "go-on"),
    ("serve", "--feedback", "r.jsonl", "feedback", Path("r.jsonl")),
    ("serve", "--workers", "2", "workers", 2),
    ("sign", "--key", "k.pem", "key", Path("k.pem")),
    ("sign", "--password-file", "p", "password_file", Path("p")),
    ("sign", "--lock", None, "lock", True),
    ("verify", "--key", "k.pub", "key", Path("k.pub")),
    ("verify", "--json", None, "as_json", True),
    ("audit", "--expect", "0" * 64, "expect", "0" * 64),
    ("audit", "--json", None, "as_json", True),
    ("feedback", "--truth", "t.csv", "truth", Path("t.csv")),
    ("feedback", "--case-column", "Fall", "case_column", "Fall"),
    ("feedback", "--truth-column", "dx", "truth_column", "dx"),
    ("feedback", "--json", "f.json", "json_file", Path("f.json")),
]


def parsed(command: str, *arguments: str) -> dict[str, Any]:
    options = PARSERS[command]().parse(arguments)
    assert options is not None
    return {name: value for name, value in vars(options).items() if name != "help"}


@pytest.mark.parametrize("command", PARSERS)
def test_defaults(command: str) -> None:
    assert parsed(command, *NEEDED.get(command, ())) == DEFAULTS[command]


@pytest.mark.parametrize(("command", "option", "text", "name", "value"), GIVEN)
def test_given(command: str, option: str, text: str | None, name: str, value: Any) -> None:
    expected = {**DEFAULTS[command], name: value}
    forms = [[option]] if text is None else [[option, text], [f"{option}={text}"]]
    for arguments in forms:
        assert parsed(command, *arguments, *NEEDED.get(command, ())) == expected


@pytest.mark.parametrize("command", PARSERS)
def test_the_help_names_every_option_and_none_besides(command: str) -> None:
    text = PARSERS[command]().help_text()
    listed = {word for line in text.splitlines() for word in line.split()[:1] if word.startswith("--")}
    assert listed == {row[1] for row in GIVEN if row[0] == command}
    assert "-h, --help" in text


@pytest.mark.parametrize(
    ("command", "arguments", "sentence"),
    [
        ("infer", ["--device", "opnvino"], "--device takes auto, rtx, cuda, tensorrt, openvino or cpu, got 'opnvino';"
            " did you mean openvino?"),
        ("infer", ["--report", ""], "--report takes a path, which must not be empty."),
        ("inspect", ["b.onnx", "c.onnx"], "inspect takes at most one MODEL, got also 'c.onnx'."),
        ("inspect", ["--jsn"], "No such option --jsn; did you mean --json?"),
        ("doctor", ["--device", "auto"], "--device takes rtx, cuda, tensorrt, openvino or cpu, got 'auto'."),
        ("doctor", ["cpu"], "doctor takes no argument, got 'cpu'."),
        ("bench", ["--devices", "auto"], "--devices takes words of rtx, cuda, tensorrt, openvino, cpu, separated by"
            " commas; got 'auto'."),
        ("bench", ["--batch", "1,x"], "--batch takes whole numbers from 1 to 1024, separated by commas; got '1,x'."),
        ("bench", ["--batch", "0"], "--batch takes whole numbers from 1 to 1024, separated by commas; got '0'."),
        ("sign", [], "sign needs MODEL. See dermedge sign --help."),
        ("verify", ["a", "b"], "verify takes at most one MODEL, got also 'b'."),
        ("bench", ["--rounds", "2"], "--rounds takes a whole number of at least 3, got '2'."),
        ("bench", ["--no-cuda-graphs"], "No such option --no-cuda-graphs; did you mean --cuda-graphs?"),
    ],
)  # fmt: skip
def test_refusals(command: str, arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(command, *arguments)
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--field", "age"], "--field takes NAME=VALUE, got 'age'."),
        (["--age", "30", "--field", "age=40"], "The field age is given twice."),
        (["--field", "a=1", "--field", "a=2"], "The field a is given twice."),
        (["--age", "30", "--age", "40"], "The field age is given twice."),
        (["--sex", "male", "--sex", "female"], "The field sex is given twice."),
        (["--field", "=40"], "--field takes NAME=VALUE, got '=40'."),
        (["--age", "5_5"], "--age takes a number, got '5_5'."),
    ],
)
def test_fields_of_infer(arguments: list[str], sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        infer_command.run(arguments)
    assert str(refused.value) == sentence


def test_an_output_of_bench_is_no_input(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(b"x")
    with pytest.raises(UsageError, match="is also an input"):
        bench_command.run([str(model), "--out", str(model)])
    with pytest.raises(UsageError, match="is a folder; name a file"):
        bench_command.run([str(model), "--out", str(tmp_path)])
    assert model.read_bytes() == b"x"
    with pytest.raises(UsageError, match="is also an input"):
        bench_command.run(["--out", str(model_in_the_box())])


@pytest.mark.parametrize(("command", "option"), [("infer", ["--model"]), ("inspect", []), ("bench", [])])
def test_a_model_in_the_box_is_called_by_its_name(
    command: str, option: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(word: str) -> Path:
        options = PARSERS[command]().parse([*option, word])
        assert options is not None
        found = options.model if hasattr(options, "model") else options.models
        return found[0] if isinstance(found, list) else found

    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    (tmp_path / "box").mkdir()  # a folder is no model
    assert read("box") == model_in_the_box()
    assert "This is the model in the box, box.onnx" in caplog.text
    with pytest.raises(ModelFileError, match="bxo is neither a file here nor a model in the box; there is box"):
        read("bxo")
    (tmp_path / "box").rmdir()
    (tmp_path / "box").touch()
    assert read("box") == Path("box")
    assert "box is a file here: it is taken" in caplog.text
    assert read("./box") == Path("box")
