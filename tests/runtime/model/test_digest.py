"""A model file knows its own SHA-256: one changed bit anywhere is noticed, and renewing it hides no other fault."""

import json
import logging
import os
import random
from pathlib import Path

import onnx
import pytest
from make_tiny_model import TINY, build, tiny_spec
from onnx import helper

from dermedge_runtime import Classifier, ModelFileError, model_in_the_box, renew_digest
from dermedge_runtime.commands.inspection import inspection_record, inspection_text
from dermedge_runtime.model import model_file
from dermedge_runtime.model.description import DIGEST_KEY
from dermedge_runtime.model.digest import BLANK, sealed
from dermedge_runtime.model.model_file import read_model_file

CONTENT = TINY.read_bytes()
OLDER = build().SerializeToString()
DAMAGED = "is damaged: its content is not what was exported (SHA-256). Copy it again, or export again."


def written(folder: Path, content: bytes) -> Path:
    path = folder / "x.onnx"
    path.write_bytes(content)
    return path


def with_description(text: str) -> bytes:
    model = build()
    helper.set_model_props(model, {"dermedge": text})
    return model.SerializeToString()


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_good_file_is_checked() -> None:
    assert read_model_file(TINY).digest_checked


def test_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    rng, path = random.Random(0), tmp_path / "x.onnx"
    for place in range(0, len(CONTENT), 13):
        content = bytearray(CONTENT)
        content[place] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        refusal(path)


def test_every_bit_that_could_hide_the_digest_is_guarded(tmp_path: Path) -> None:
    """Where a flip could hide the digest itself: its name, the entry's key and lengths."""
    path, place = tmp_path / "x.onnx", CONTENT.index(b"dermedge")
    for bit in range((place - 4) * 8, (place + 26) * 8):
        content = bytearray(CONTENT)
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        refusal(path)


def test_a_changed_weight_is_damage(tmp_path: Path) -> None:
    content = bytearray(CONTENT)
    content[len(CONTENT) // 2] ^= 0x40
    assert refusal(written(tmp_path, bytes(content))) == f"x.onnx {DAMAGED}"


@pytest.mark.parametrize("more", [b"\0", b"\x0a\x00", b"\x32\x01a"])
def test_something_behind_the_end_is_damage(tmp_path: Path, more: bytes) -> None:
    refusal(written(tmp_path, CONTENT + more))


def test_a_name_that_the_digest_does_not_have_is_damage_in_a_file_without(tmp_path: Path) -> None:
    record = json.loads(tiny_spec().to_json()) | {"fime_sha256": "0" * 64}
    assert "the entry 'fime_sha256' is unknown" in refusal(written(tmp_path, with_description(json.dumps(record))))


def test_what_a_newer_version_says_beyond_is_read_past_under_a_digest(tmp_path: Path) -> None:
    record = json.loads(tiny_spec().to_json()) | {"colour": "new"}
    path = written(tmp_path, with_description(json.dumps(record)))
    renew_digest(path)
    assert read_model_file(path).spec == tiny_spec()


def test_an_older_file_opens_and_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, OLDER)
    with caplog.at_level(logging.INFO, "dermedge_runtime"):
        file = read_model_file(path)
        Classifier(path, "cpu")
    assert not file.digest_checked
    assert [line for line in caplog.messages if "digest" in line] == [
        "x.onnx carries no digest (an earlier dermedge made it), so damage to it would go unnoticed"
    ]
    record = inspection_record(file)
    assert "file digest: none (exported by an older dermedge)" in inspection_text(record).splitlines()
    assert DIGEST_KEY not in record
    assert "file digest: checked" in inspection_text(inspection_record(read_model_file(TINY))).splitlines()


def test_the_model_in_the_box_opens() -> None:
    assert read_model_file(model_in_the_box()).spec.classes


@pytest.mark.parametrize(
    "text",
    [
        tiny_spec().to_json(),
        json.dumps(json.loads(tiny_spec().to_json()), indent=2),
        json.dumps(json.loads(tiny_spec().to_json()) | {"licence": "ü" * 200}, ensure_ascii=False),
        json.dumps({**json.loads(tiny_spec().to_json()), "training": {DIGEST_KEY: "1" * 64}}),
        json.dumps({**json.loads(tiny_spec().to_json()), "licence": f'"{DIGEST_KEY}":"{BLANK}"'}),
    ],
    ids=["plain", "indented", "unicode", "the key inside", "the key in a text"],
)
def test_renewing_adds_a_digest_and_changes_nothing_else(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, with_description(text))
    renew_digest(path)
    again, model = onnx.load(path), build()
    (entry,) = again.metadata_props
    added = json.loads(entry.value)
    assert len(added.pop(DIGEST_KEY)) == 64
    assert added == json.loads(text)
    del again.metadata_props[:], model.metadata_props[:]
    assert again == model
    assert read_model_file(path).digest_checked
    once = path.read_bytes()
    renew_digest(os.fspath(path))
    assert path.read_bytes() == once
    path.write_bytes(once.replace(b"Softmax", b"Sigmoid"))
    assert refusal(path) == f"x.onnx {DAMAGED}"
    renew_digest(path)
    assert read_model_file(path).digest_checked
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("value", ["", "abc", "0" * 63, "G" * 64, "A" * 64, 3, None, [], {}, True])
def test_a_digest_that_is_none(tmp_path: Path, value: object) -> None:
    record = {DIGEST_KEY: value, **json.loads(tiny_spec().to_json())}
    path = written(tmp_path, with_description(json.dumps(record)))
    assert refusal(path) == "x.onnx is damaged: its file_sha256 is no SHA-256. Copy it again, or export again."
    renew_digest(path)
    assert read_model_file(path).digest_checked


def test_a_digest_of_zeros_is_wrong(tmp_path: Path) -> None:
    path = written(tmp_path, with_description(tiny_spec().to_json(digest=BLANK)))
    assert refusal(path) == f"x.onnx {DAMAGED}"


def test_two_digests_or_two_descriptions_are_refused(tmp_path: Path) -> None:
    text = tiny_spec().to_json()
    twice = f'{{"{DIGEST_KEY}":"{BLANK}","{DIGEST_KEY}":"{BLANK}",{text[1:]}'
    assert "'file_sha256' stands there twice" in refusal(written(tmp_path, sealed(with_description(twice), "x.onnx")))
    model = build()
    model.metadata_props.add(key="dermedge", value=text)
    path = written(tmp_path, sealed(model.SerializeToString(), "x.onnx"))
    assert "its entry 'dermedge' stands there twice" in refusal(path)


def test_an_escaped_name_is_the_name(tmp_path: Path) -> None:
    text = tiny_spec().to_json(digest="1" * 64).replace("file_sha256", "\\u0066ile_sha256")
    assert refusal(written(tmp_path, with_description(text))) == f"x.onnx {DAMAGED}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no description of dermedge"),
        (b"no file at all", "is no complete ONNX file"),
        (CONTENT[:-1], "is no complete ONNX file"),
        (with_description("[]"), "its description is no JSON object"),
    ],
)
def test_what_has_no_place_for_a_digest(tmp_path: Path, content: bytes, message: str) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ModelFileError, match=message):
        renew_digest(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("text", ["{'a': 1}", "{}", '{"a":1e999}', '{"a":' + "[" * 400 + "]" * 400 + "}", '{"a":'])
def test_renewing_keeps_the_faults_of_a_description(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, with_description(text))
    renew_digest(path)
    assert text[1:].encode() in path.read_bytes()
    assert "description" in refusal(path)


def test_the_log_is_told_per_file(tmp_path: Path) -> None:
    path = written(tmp_path, OLDER)
    read_model_file(path)
    assert os.fspath(path) in model_file._told
