"""HEIC: decoded upright and whole or not at all, and nothing of it stays behind in Pillow."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_pictures import SKIN, skin
from PIL import Image

from dermedge.batch.heic_file import HeicFile, is_heic
from dermedge_runtime import InputRejected
from dermedge_runtime.inputs import picture_memory
from dermedge_runtime.inputs.later_picture import is_later
from dermedge_runtime.inputs.orientation import TURNS

pillow_heif = pytest.importorskip("pillow_heif")


def heic(image: Image.Image = SKIN, **options: Any) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, **{"quality": 90, "chroma": 444} | options)
    return stream.getvalue()


CONTENT = heic()


def fetched(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    return HeicFile(path).fetch()


def rejection(path: Path, content: bytes) -> str:
    with pytest.raises(InputRejected) as caught:
        fetched(path, content)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(CONTENT)
    file = HeicFile(path)
    assert is_later(file)
    assert (file.name, file.sha256) == (str(path), None)
    pixels = file.fetch()
    assert (pixels.dtype, pixels.shape) == (np.uint8, (149, 203, 3))
    assert np.abs(pixels.astype(int) - np.asarray(SKIN)).mean() < 3
    assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_once(orientation: int, tmp_path: Path) -> None:
    """As phones write it: the file's boxes turn it, and EXIF says the same again."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    # Not from_pillow, which turns the pixels, too.
    stored = pillow_heif.from_bytes(SKIN.mode, SKIN.size, SKIN.tobytes())
    stored[0].info["exif"] = exif.tobytes()
    stream = io.BytesIO()
    stored.save(stream, quality=90, chroma=444)
    content = stream.getvalue()
    assert b"\1\x12\0\3\0\0\0\1\0" + bytes([orientation]) in content
    assert (b"irot" in content or b"imir" in content) == (orientation != 1)
    turn = TURNS.get(orientation)
    expected = SKIN if turn is None else SKIN.transpose(turn)
    pixels = fetched(tmp_path / "a.heic", content)
    assert pixels.shape == np.asarray(expected).shape
    assert np.abs(pixels.astype(int) - np.asarray(expected)).mean() < 3


def test_an_orientation_in_exif_alone_says_nothing(tmp_path: Path) -> None:
    """As the format has it, and as libheif and Apple's readers do."""
    exif = Image.Exif()
    exif[0x0112] = 1
    stored = pillow_heif.from_bytes(SKIN.mode, SKIN.size, SKIN.tobytes())
    stored[0].info["exif"] = exif.tobytes()
    stream = io.BytesIO()
    stored.save(stream)
    upright, turned = (b"\1\x12\0\3\0\0\0\1\0" + bytes([value]) for value in (1, 6))
    content = stream.getvalue().replace(upright, turned)
    assert content.count(turned) == 1
    assert fetched(tmp_path / "a.heic", content).shape == (149, 203, 3)


def test_grey_alpha_and_more_bits(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    grey = fetched(path, heic(SKIN.convert("L"), chroma=420))
    assert np.abs(grey[..., 0].astype(int) - np.asarray(SKIN.convert("L"))).mean() < 3
    assert np.abs(grey.max(axis=2).astype(int) - grey.min(axis=2)).max() <= 2
    clear = SKIN.copy()
    clear.putalpha(0)
    assert fetched(path, heic(clear)).min() > 250  # nothing but the white behind it
    values = np.asarray(SKIN).astype(np.uint16) << 8
    stream = io.BytesIO()
    deep = pillow_heif.from_bytes("RGB;16", SKIN.size, values.tobytes())
    deep.save(stream, quality=90, chroma=444)
    assert pillow_heif.open_heif(stream.getvalue(), convert_hdr_to_8bit=False).info["bit_depth"] > 8
    assert np.abs(fetched(path, stream.getvalue()).astype(int) - np.asarray(SKIN)).mean() < 3


def test_the_main_picture_of_several(tmp_path: Path) -> None:
    stream = io.BytesIO()
    several = pillow_heif.from_pillow(SKIN)
    several.add_from_pillow(skin(64, 48))
    several.save(stream, quality=90, primary_index=1)
    assert fetched(tmp_path / "a.heic", stream.getvalue()).shape == (48, 64, 3)


def test_cut_anywhere(tmp_path: Path) -> None:
    for place in (*range(0, len(CONTENT), 211), len(CONTENT) - 1):
        assert "Cannot read" in rejection(tmp_path / "a.heic", CONTENT[:place])


def test_a_hole(tmp_path: Path) -> None:
    for fill in (bytes(300), b"\xff" * 300):
        place = len(CONTENT) // 2
        broken = CONTENT[:place] + fill + CONTENT[place + 300 :]
        assert "there is a hole in its pixel data" in rejection(tmp_path / "a.heic", broken)


def test_notes_that_are_filled_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0xEA1C] = bytes(2060)
    image = SKIN.copy()
    image.info["exif"] = exif.tobytes()
    content = heic(image)
    assert bytes(2060) in content
    assert fetched(tmp_path / "a.heic", content).shape == (149, 203, 3)


def test_what_is_no_heic_file(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    for content in (b"", b"text", CONTENT[:24], b"\0\0\0\x18ftypmp42" + bytes(12)):
        assert "Cannot read the image" in rejection(path, content)
    stream = io.BytesIO()
    SKIN.save(stream, "JPEG")
    assert rejection(path, stream.getvalue()).endswith("a.heic: its content is no HEIC picture.")
    path.unlink()
    with pytest.raises(InputRejected, match="there is no such file"):
        HeicFile(path).fetch()


def test_too_large_is_seen_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_memory, "DECODER_MEMORY", 20 * 203 * 149 - 1)
    monkeypatch.setattr(pillow_heif.HeifImage, "data", property(lambda self: pytest.fail("decoded")))
    assert "over the limit of 0 megapixels for a HEIC file" in rejection(tmp_path / "a.heic", CONTENT)


def test_without_pillow_heif(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert rejection(tmp_path / "a.heic", CONTENT).endswith(
        "HEIC files are read by pillow-heif, which is not installed. Run: pip install 'dermedge[heic]'."
    )


def test_pillow_learns_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(CONTENT)
    code = (
        "import sys; from dermedge.batch.heic_file import HeicFile; assert 'pillow_heif' not in sys.modules;"
        "HeicFile(sys.argv[1]).fetch(); assert 'pillow_heif' in sys.modules;"
        "from PIL import Image; Image.init(); assert not {'HEIF', 'HEIC'} & set(Image.OPEN)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_what_a_heic_file_is() -> None:
    assert is_heic("A/B.HEIC")
    assert is_heic(Path("b.heif"))
    assert not is_heic("a.avif")
