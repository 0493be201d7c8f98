"""AVIF: refused wherever it is cut, turned as its boxes say and only once, 10 bits, animations, what is no AVIF."""

import base64
import io
import sys

import numpy as np
import pytest
from broken_pictures import SKIN, encode, skin
from PIL import Image, ImageOps

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.image import load_image, load_sized, upright_rgb
from dermedge_runtime.inputs.orientation import TURNS

CONTENT = encode(SKIN, "AVIF", quality=80)
TEN_BITS = base64.b64decode(
    "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUEAAADrbWV0YQAAAAAAAAAhaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAAAAAAAOcGl0bQAAAAAAAQAAAB5pbG9jAAAAAEQAAAEAAQAAAAEAAAETAAABKQAAAChpaW5mAAAAAAABAAAAGmluZmUCAAAAAAEAAGF2MDFDb2xvcgAAAABqaXBycAAAAEtpcGNvAAAAFGlzcGUAAAAAAAAAGAAAABAAAAAQcGl4aQAAAAADCgoKAAAADGF2MUOBIEAAAAAAE2NvbHJuY2x4AAIAAgAAgAAAABdpcG1hAAAAAAAAAAEAAQQBAoMEAAABMW1kYXQSAAoIOBDv7OBAQBIymgIQAAD949/6E33XkFIPw8n/0o93TAphf//xoLjUOCngrlAcDXw71cJEdKq8qNjfW+ZzaxyltG2MuwHLLtnEdHFT22JJnDUm4XyZHlnkiuO2tjoYhrATHL//XiqH3M6KGIGeZEaAzfjXSKtVdQlbE/BJu79v5Lk7RjkCNpFpKWQI9L8IJpoaMGTnQ4CFVXjSu/AOe9dbceeB+jbr8Y6/moWjzQVBaSTS2ZvlQF9tnbBWiHmAMONmxsLtWbfQ+2LNIivH6qmDr2mlQ3hvDbaaPLVTo68UkfaG2FHpOzKRaJuR/evOaYDxgwpc6dX7Df14MWkXKIpZzaxy29aWGYdiZWOrwVk6qYOvfE3s4DiSJhs+wo9J39ExNBakXIA="
)
"""24 x 16 pixels of 10 bits, which Pillow does not write: red 40 x, green 60 y, blue 25 (x + y), of 1023."""


def rejection(content: bytes) -> str:
    with pytest.raises(InputRejected) as caught:
        load_image(content, 32)
    return str(caught.value)


def test_cut_at_every_byte() -> None:
    small = encode(skin(40, 30), "AVIF")
    assert load_image(small, 32).shape == (32, 32, 3)
    for place in range(len(small)):
        assert "Cannot read" in rejection(small[:place])


def test_cut_at_the_end_of_any_frame() -> None:
    """Only the first one is read, and yet the file is not whole."""
    content = encode(SKIN, "AVIF", save_all=True, append_images=[ImageOps.invert(SKIN), SKIN])
    assert np.abs(load_image(content, 32).astype(int) - load_image(CONTENT, 32)).max() < 10
    for place in range(len(content) - 1, 100, -331):
        assert "Cannot read" in rejection(content[:place])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_its_own_boxes_turn_it_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode(SKIN, "AVIF", quality=95, exif=exif)
    turn = TURNS.get(orientation)
    expected = SKIN if turn is None else SKIN.transpose(turn)
    found = upright_rgb(content)
    assert found.size == expected.size == load_sized(content, 32)[1]
    assert np.abs(np.asarray(found).astype(int) - np.asarray(expected)).mean() < 4
    with Image.open(io.BytesIO(content)) as opened:
        np.testing.assert_array_equal(np.asarray(upright_rgb(opened)), np.asarray(found))
    with Image.open(io.BytesIO(content)) as opened:
        opened.load()
        np.testing.assert_array_equal(np.asarray(upright_rgb(opened)), np.asarray(found))


def test_an_orientation_in_exif_says_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = 1, "x"
    from PIL import _avif

    # As AvifImagePlugin calls it, which leaves the orientation out of EXIF.
    options = ("4:2:0", 75, 8, 1, "auto", "full", 0, 0, False, True, b"", exif.tobytes(), 1, b"", None)
    encoder = _avif.AvifEncoder(SKIN.size, *options)
    encoder.add(SKIN.tobytes(), 0, SKIN.size, "RGB", True)
    content = encoder.finish()
    upright, turned = (b"\x01\x12\0\3\0\0\0\1\0" + bytes([value]) for value in (1, 6))
    assert content.count(upright) == 1
    content = content.replace(upright, turned)
    with Image.open(io.BytesIO(content)) as opened:
        assert b"Exif" in content
        assert opened.getexif()[0x0131] == "x"
    assert upright_rgb(content).size == SKIN.size


def test_ten_bits() -> None:
    y, x = np.mgrid[:16, :24]
    expected = np.stack([40 * x, 60 * y, 25 * (x + y)], axis=-1) / 4
    assert np.abs(np.asarray(upright_rgb(TEN_BITS)) - expected).max() <= 1


def test_a_file_of_another_main_brand() -> None:
    assert CONTENT[8:12] == b"avif"
    other = CONTENT.replace(b"ftypavif", b"ftypmif1", 1)
    np.testing.assert_array_equal(load_image(other, 32), load_image(CONTENT, 32))


def test_a_file_of_boxes_that_is_no_avif() -> None:
    heic = CONTENT.replace(b"avif", b"heic")
    assert "no picture of a known format" in rejection(heic)
    assert "no picture of a known format" in rejection(b"\0\0\0\x18ftypmp42" + bytes(12))


def test_a_hole() -> None:
    for fill in (bytes(200), b"\xff" * 200):
        for share in (0.2, 0.5, 0.9):
            place = int(share * len(CONTENT))
            assert "there is a hole" in rejection(CONTENT[:place] + fill + CONTENT[place + 200 :])


def test_notes_that_are_filled_up() -> None:
    """As programs do that want to change them later."""
    exif = Image.Exif()
    exif[0xEA1C] = bytes(2060)
    content = encode(SKIN, "AVIF", exif=exif, xmp=b"<x:xmpmeta>" + bytes(3000) + b"</x:xmpmeta>")
    assert bytes(2060) in content
    np.testing.assert_array_equal(load_image(content, 32), load_image(encode(SKIN, "AVIF"), 32))
    place = len(content) - 300
    assert "there is a hole" in rejection(content[:place] + bytes(200) + content[place + 200 :])


def test_a_flat_picture_has_no_hole() -> None:
    for mode, colour in (("RGB", 0), ("RGB", (255, 255, 255)), ("RGBA", (200, 150, 140, 0)), ("L", 128)):
        content = encode(Image.new(mode, (1000, 1000), colour), "AVIF", speed=10)
        assert load_image(content, 32).shape == (32, 32, 3)


def test_a_pillow_without_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    import PIL

    monkeypatch.setitem(sys.modules, "PIL._avif", None)
    monkeypatch.delattr(PIL, "_avif", raising=False)
    assert rejection(CONTENT).endswith(
        " is an AVIF file, which this build of Pillow cannot read. Save it as PNG or JPEG."
    )


def test_boxes_that_make_no_sense() -> None:
    size = int.from_bytes(CONTENT[:4], "big")
    for length in (0, 1, 4, 7, len(CONTENT) + 1, 2**31):
        assert "Cannot read" in rejection(CONTENT[:size] + length.to_bytes(4, "big") + CONTENT[size + 4 :])
    assert "Cannot read" in rejection(CONTENT + b"\0\0\0")
