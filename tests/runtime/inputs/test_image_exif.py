"""An EXIF block that cannot be read says nothing about the orientation, and never costs the picture."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from broken_pictures import SKIN, encode
from PIL import Image, PngImagePlugin

from dermedge_runtime.inputs.image import load_image, load_sized, upright_rgb
from dermedge_runtime.inputs.orientation import read_orientation


def block(tag: int = 0x0112, kind: int = 3, count: int = 1, value: bytes = b"\0\6\0\0", order: str = ">") -> bytes:
    """Give EXIF with one entry."""
    head = b"MM\0*\0\0\0\x08" if order == ">" else b"II*\0\x08\0\0\0"
    return head + struct.pack(order + "HHHI", 1, tag, kind, count) + value + bytes(4)


BROKEN = {
    "nothing": b"",
    "text": b"lorem ipsum",
    "a header alone": b"MM\0*",
    "no directory": b"MM\0*\0\0\0\x08",
    "a directory elsewhere": b"MM\0*\xff\xff\xff\xff",
    "cut": b"\0\x08\0\2\1\x12\0\3",
    "cut in its entry": block()[:17],
    "too many entries": b"MM\0*\0\0\0\x08\xff\xff",
    "0": block(value=b"\0\0\0\0"),
    "9": block(value=b"\0\x09\0\0"),
    "65535": block(value=b"\xff\xff\0\0"),
    "a letter": block(kind=2, count=2, value=b"x\0\0\0"),
    "a fraction": block(kind=5, value=b"\0\0\0\x08"),
    "two": block(count=2, value=b"\0\6\0\6"),
    "a million": block(count=1_000_000),
    "a float": block(kind=11, value=struct.pack(">f", 6)),
    "minus": block(kind=8, value=b"\xff\xfa\0\0"),
    "an unknown kind": block(kind=77),
}


def with_exif(kind: str, exif: bytes) -> bytes:
    """Encode without Pillow's own idea of EXIF."""
    if kind == "JPEG":
        plain = encode(SKIN, "JPEG", quality=95, subsampling=0)
        body = b"Exif\0\0" + exif
        return plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(body)) + body + plain[2:]
    if kind == "PNG":
        plain = encode(SKIN, "PNG")
        chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", zlib.crc32(b"eXIf" + exif))
        return plain[:33] + chunk + plain[33:]
    plain = encode(SKIN, "WEBP", lossless=True, exif=b"Exif\0\0" + block())
    place = plain.find(b"EXIF")
    body = b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2)
    whole = plain[:place] + body
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_block_means_no_orientation(kind: str, broken: str) -> None:
    expected = upright_rgb(
        encode(SKIN, kind, **{"JPEG": {"quality": 95, "subsampling": 0}}.get(kind, {"lossless": True}))
    )
    content = with_exif(kind, BROKEN[broken])
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nobody is warned either
        np.testing.assert_array_equal(np.asarray(upright_rgb(content)), np.asarray(expected))
        assert load_sized(content, 32)[1] == SKIN.size


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("number", "layout"), [(1, "Bxxx"), (3, "Hxx"), (4, "I")])
def test_a_sound_block_turns_the_picture(kind: str, order: str, number: int, layout: str) -> None:
    content = with_exif(kind, block(kind=number, value=struct.pack(order + layout, 6), order=order))
    assert upright_rgb(content).size == SKIN.size[::-1]
    assert load_sized(content, 32)[1] == SKIN.size[::-1]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_block_of_the_callers_image(broken: str) -> None:
    image = SKIN.copy()
    image.info["exif"] = BROKEN[broken]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert upright_rgb(image).size == SKIN.size
    with Image.open(io.BytesIO(with_exif("PNG", BROKEN[broken]))) as opened:
        assert upright_rgb(opened).size == SKIN.size


@pytest.mark.parametrize("value", [0, 9, -1, "x", (6, 6), 6.0, b"\6", None, True, 10**30])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_an_odd_orientation_that_the_caller_set(value: Any) -> None:
    image = SKIN.copy()
    image.getexif()[0x0112] = value
    assert upright_rgb(image).size == SKIN.size


@pytest.mark.parametrize("entry", [(274, 3, 1, 0), (274, 3, 1, 9), (274, 2, 2, 0x78), (274, 3, 2, 0x60006)])
def test_an_odd_orientation_of_a_tiff_file(entry: tuple[int, int, int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(SKIN, "TIFF", exif=exif)
    assert upright_rgb(content).size == SKIN.size[::-1]
    sound = struct.pack("<HHII", 274, 3, 1, 6)
    assert content.count(sound) == 1
    assert upright_rgb(content.replace(sound, struct.pack("<HHII", *entry))).size == SKIN.size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_tiff_files_of_every_mode_are_turned_once(mode: str, orientation: int) -> None:
    levels = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2570
    grey = Image.fromarray((levels >> 8).astype(np.uint8))
    image = Image.fromarray(levels) if mode == "I;16" else grey.convert("RGB").convert(mode)
    stored = np.asarray(upright_rgb(encode(image, "TIFF")))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for options in ({}, {"compression": "tiff_lzw"}):
        turned = np.asarray(upright_rgb(encode(image, "TIFF", exif=exif, **options)))
        expected = np.asarray(upright_rgb(encode(Image.fromarray(stored), "PNG", exif=exif)))
        np.testing.assert_array_equal(turned, expected)


def test_a_broken_list_of_pictures_in_an_mpo_file() -> None:
    sound = encode(SKIN, "MPO", save_all=True, append_images=[SKIN])
    place = sound.find(b"MPF\0") + 4
    expected = load_image(sound, 32)
    for filling in (b"\xff" * 40, bytes(40), b"MM\0*\0\0\0\x08\xff\xff" + bytes(30)):
        np.testing.assert_array_equal(load_image(sound[:place] + filling + sound[place + 40 :], 32), expected)


def test_orientation_in_other_blocks() -> None:
    packet = b'<rdf:Description tiff:Orientation="6"/>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", packet.decode())
    for content in (
        encode(SKIN, "JPEG", xmp=packet),
        encode(SKIN, "WEBP", lossless=True, xmp=packet),
        encode(SKIN, "PNG", pnginfo=text),
    ):
        assert upright_rgb(content).size == SKIN.size[::-1]
    exif = b"Exif\0\0" + block()
    for packed in (False, True):
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", f"\nexif\n{len(exif):8}\n{exif.hex()}\n", zip=packed)
        assert upright_rgb(encode(SKIN, "PNG", pnginfo=text)).size == SKIN.size[::-1]
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", "\nexif\n 4\nno digits\n", zip=packed)
        assert upright_rgb(encode(SKIN, "PNG", pnginfo=text)).size == SKIN.size


def test_exif_comes_before_xmp() -> None:
    assert read_orientation(block(), b'tiff:Orientation="3"') == 6
    assert read_orientation(block(tag=1), b"<tiff:Orientation>3<") == 3
    assert read_orientation(block(value=b"\0\1\0\0"), b'tiff:Orientation="3"') == 1
    assert read_orientation(None, b'tiff:Orientation="9"') == 1
    assert read_orientation(None, None) == 1
