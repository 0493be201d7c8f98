"""A JPEG file that is not whole is rejected however it breaks, and a whole one never is."""

import io

import numpy as np
import pytest
from broken_pictures import JPEGS, SKIN, broken_jpegs, encode, jpeg, pixel_data, skin
from lossless_jpeg import lossless_jpeg
from PIL import Image

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.image import load_image, upright_rgb

LARGE = skin(600, 450)
PLAIN = [name for name in JPEGS if name not in ("progressive", "restarts", "restarts by row")]


def is_rejected(content: bytes, size: int = 64) -> bool:
    try:
        load_image(content, size)
    except InputRejected as error:
        assert "Is the file complete?" in str(error)
        return True
    return False


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9, 0.97])
def test_a_file_that_breaks_off(kind: str, share: float) -> None:
    found = {how: is_rejected(content) for how, content in broken_jpegs(JPEGS[kind], share)}
    assert [how for how, rejected in found.items() if not rejected] == []


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("length", [512, 4096])
@pytest.mark.parametrize("filling", ["zeros", "0xFF", "noise"])
def test_a_hole_in_the_middle(kind: str, length: int, filling: str) -> None:
    # Large scans alone: in a small one few bytes can say that all the rest is empty.
    content = jpeg(kind, LARGE, quality=95)
    start, end = pixel_data(content)
    place = (start + end) // 2
    assert place + length < end - 100
    fill = {"zeros": bytes(length), "0xFF": b"\xff" * length, "noise": np.random.default_rng(1).bytes(length)}[filling]
    assert is_rejected(content[:place] + fill + content[place + length :])


@pytest.mark.parametrize("kind", PLAIN)
def test_data_that_are_missing_twice_there_or_of_another_file(kind: str) -> None:
    content = JPEGS[kind]
    start, end = pixel_data(content)
    place = (start + end) // 2
    other = JPEGS["usual"][900:1200].replace(b"\xff", b"\xfe")
    assert is_rejected(content[:place] + content[place + 300 :])
    assert is_rejected(content[: place + 300] + content[place:])
    assert is_rejected(content[:place] + other + content[place:])


@pytest.mark.parametrize("kind", ["restarts", "restarts by row"])
def test_restart_markers_count(kind: str) -> None:
    content = JPEGS[kind]
    first, third = content.find(b"\xff\xd0"), content.find(b"\xff\xd2")
    assert is_rejected(content[:first] + content[third:])
    assert is_rejected(content.replace(b"\xff\xd1", b"\xff\xd3", 1))
    assert is_rejected(content[: first - 60] + content[first:])


def test_a_progressive_file_without_its_last_scans() -> None:
    content, places = JPEGS["progressive"], []
    place = content.find(b"\xff\xda")
    while place >= 0:
        places.append(place)
        place = content.find(b"\xff\xda", place + 2)
    assert len(places) > 4
    assert all(is_rejected(content[:place] + b"\xff\xd9") for place in places)
    assert all(is_rejected(content[:place]) for place in places)
    assert all(is_rejected(content[: place - 20] + content[place:]) for place in places[-2:])


@pytest.mark.parametrize("kind", JPEGS)
def test_what_follows_the_end_marker_is_left_alone(kind: str) -> None:
    expected = load_image(JPEGS[kind], 64)
    for trailing in (b"\0", bytes(5000), b"SEFT camera data", JPEGS["usual"], b"\xff\xff\xff", b"\xff\xda\xff"):
        np.testing.assert_array_equal(load_image(JPEGS[kind] + trailing, 64), expected)


def test_the_end_of_an_embedded_thumbnail_is_not_the_end() -> None:
    thumbnail = encode(skin(40, 30), "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail
    content = encode(SKIN, "JPEG", exif=exif)
    assert content.count(b"\xff\xd9") == 2
    assert not is_rejected(content)
    assert is_rejected(content[: len(content) // 2])
    assert is_rejected(content[: content.find(b"\xff\xd9") + 2])


@pytest.mark.parametrize("segment", [b"\xff\xdb\0\x43\0" + bytes(64), b"\xff\xc4\0\x13\0" + bytes(16)])
def test_tables_of_zeros(segment: bytes) -> None:
    content = JPEGS["usual"]
    place = content.find(b"\xff\xda")
    assert is_rejected(content[:place] + segment + content[place:])


FLAT = [(128, 128, 128), (0, 0, 0), (255, 255, 255), (215, 160, 140)]


@pytest.mark.parametrize("colour", FLAT)
@pytest.mark.parametrize(
    "options",
    [{}, {"optimize": True}, {"progressive": True}, {"restart_marker_rows": 1, "optimize": True}, {"subsampling": 0}],
    ids=str,
)
def test_flat_pictures_are_whole(colour: tuple[int, int, int], options: dict[str, int]) -> None:
    """Their data can be nothing but zeros, and grey is what libjpeg paints where data are missing."""
    for size in ((1, 1), (17, 33), (1200, 900)):
        picture = Image.new("RGB", size, colour)
        for image in (picture, picture.convert("L")):
            found = np.asarray(upright_rgb(encode(image, "JPEG", **options))).astype(int)
            assert np.abs(found - np.asarray(image.convert("RGB"))).max() <= 3


@pytest.mark.parametrize("quality", [30, 90])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}], ids=str)
def test_a_photograph_with_a_black_border_is_whole(quality: int, options: dict[str, int]) -> None:
    picture = Image.new("RGB", (1600, 1500))
    picture.paste(skin(1200, 300), (200, 700))
    assert not is_rejected(encode(picture, "JPEG", quality=quality, **options))


@pytest.mark.parametrize("width", [1, 5, 8, 16, 17, 31, 33])
def test_narrow_pictures(width: int) -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 1}, {"subsampling": 0}):
        content = encode(skin(width, 300), "JPEG", quality=95, **options)
        np.testing.assert_array_equal(np.asarray(upright_rgb(content)), np.asarray(Image.open(io.BytesIO(content))))
        start, end = pixel_data(content)
        assert is_rejected(content[: (start + end) // 2] + b"\xff\xd9")


@pytest.mark.parametrize("kind", ["full colour", "usual", "progressive", "restarts by row"])
def test_a_large_file_that_is_scaled_down(kind: str) -> None:
    options = {"progressive": kind == "progressive", "restart_marker_rows": int("restarts" in kind)}
    content = encode(skin(900, 700), "JPEG", quality=85, subsampling=0 if kind == "full colour" else 2, **options)
    assert not is_rejected(content, 32)
    start, end = pixel_data(content)
    for place in (start + (end - start) // 3, end - 400):
        assert is_rejected(content[:place] + b"\xff\xd9", 80)
    assert is_rejected(content[: end - 900] + content[end - 400 :], 80)


def test_too_many_scans() -> None:
    content = JPEGS["progressive"]
    place, end = content.rfind(b"\xff\xda"), content.rfind(b"\xff\xd9")
    assert is_rejected(content[:end] + content[place:end] * 100 + content[end:])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_lossless_data_that_are_missing(mode: str) -> None:
    pixels = np.asarray(SKIN.convert(mode).resize((64, 48)))
    content = lossless_jpeg(pixels, adobe=mode == "RGB")
    whole = np.asarray(upright_rgb(content))
    assert np.array_equal(whole if mode == "RGB" else whole[..., 0], pixels)
    for place in range(200, len(content) - 20, 333):
        assert is_rejected(content[:place])
        assert is_rejected(content[:place] + b"\xff\xd9")
