"""What a caller does with their own buffer, image or file afterwards changes no answer and no overlay."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_tiny_model import SIZE, TINY
from PIL import Image, ImageSequence

from dermedge_runtime import Classifier, InputRejected, Prediction, Rejection
from dermedge_runtime.explanation import Explanation

LEVELS = (10, 200, 60, 250, 90)


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(TINY, "cpu")


def picture(level: int, size: int = SIZE) -> np.ndarray:
    return np.full((size, size, 3), level, np.uint8)


def encoded(level: int, form: str = "BMP") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(level, 40)).save(stream, form)
    return stream.getvalue()


def arrays() -> Iterator[np.ndarray]:
    buffer = picture(0)
    for level in LEVELS:
        buffer[:] = level
        yield buffer


def reversed_views() -> Iterator[np.ndarray]:
    buffer = picture(0)
    for level in LEVELS:
        buffer[:] = level
        yield buffer[..., ::-1]


def pillow_images() -> Iterator[Image.Image]:
    image = Image.new("RGB", (SIZE, SIZE))
    for level in LEVELS:
        image.paste((level, level, level), (0, 0, SIZE, SIZE))
        yield image


def frames_of_one_file() -> Iterator[Image.Image]:
    stream = io.BytesIO()
    first, *rest = (Image.fromarray(picture(level)) for level in LEVELS)
    first.save(stream, "TIFF", save_all=True, append_images=rest)
    yield from ImageSequence.Iterator(Image.open(stream))


def bytearrays() -> Iterator[bytearray]:
    buffer = bytearray(encoded(0))
    for level in LEVELS:
        buffer[:] = encoded(level)
        yield buffer


def memoryviews() -> Iterator[memoryview]:
    return map(memoryview, bytearrays())


def streams() -> Iterator[io.BytesIO]:
    stream = io.BytesIO()
    for level in LEVELS:
        stream.seek(0)
        stream.write(encoded(level))
        yield stream


@pytest.mark.parametrize(
    "camera", [arrays, reversed_views, pillow_images, frames_of_one_file, bytearrays, memoryviews, streams]
)
@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_one_buffer_that_is_filled_again_and_again(
    model: Classifier, camera: Callable[[], Iterator[Any]], batch_size: int
) -> None:
    found = list(model.predict_each(camera(), batch_size=batch_size))
    for result, level in zip(found, LEVELS, strict=True):
        assert isinstance(result, Prediction)
        expected = model.predict(picture(level)).probabilities
        assert result.probabilities == pytest.approx(expected, abs=1e-6)
        assert np.unique(np.asarray(result.upright())).tolist() == [level]


def test_one_dictionary_that_is_filled_again_and_again(model: Classifier) -> None:
    def patients() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        for age in (5, 50, 90):
            row["age"] = age
            yield row

    found = model.predict_many([picture(10)] * 3, patients())
    for result, age in zip(found, (5, 50, 90), strict=True):
        assert isinstance(result, Prediction)
        assert result.given == {"age": age}
        assert result.probabilities == pytest.approx(model.predict(picture(10), age=age).probabilities, abs=1e-6)


@pytest.mark.parametrize("change", ["fill", "in_place", "turned"])
def test_the_picture_of_an_answer_is_its_own(model: Classifier, change: str) -> None:
    source: Any = picture(10, 40) if change == "fill" else Image.fromarray(picture(10, 40))
    result = model.predict(source)
    if change == "fill":
        source[:] = 255
    elif change == "in_place":
        source.thumbnail((5, 5))
    else:
        source.getexif()[0x0112] = 6
    assert result.upright().size == (40, 40)
    assert np.asarray(result.upright()).max() == 10


def test_an_image_whose_exif_was_set_by_its_owner_is_turned_once(model: Classifier) -> None:
    image = Image.new("RGB", (40, 20), "red")
    image.getexif()[0x0112] = 6
    result = model.predict(image)
    assert result.size == result.upright().size == (20, 40)


def test_an_endless_camera_is_asked_for_one_batch_at_a_time(model: Classifier) -> None:
    taken: list[int] = []

    def camera() -> Iterator[np.ndarray]:
        while True:
            taken.append(len(taken))
            yield picture(10)

    answers = model.predict_each(camera(), batch_size=3)
    assert taken == []
    for _ in range(3):
        next(answers)
    assert len(taken) == 3
    next(answers)
    assert len(taken) == 6


def test_the_next_picture_can_depend_on_the_answer(model: Classifier) -> None:
    answers: list[Any] = []

    def dialogue() -> Iterator[np.ndarray]:
        for number in range(4):
            assert len(answers) == number
            yield picture(10 * number)

    for answer in model.predict_each(dialogue(), batch_size=1):
        answers.append(answer)
    assert len(answers) == 4


def test_what_a_camera_raises_comes_unchanged_after_the_answers(model: Classifier) -> None:
    error = RuntimeError("unplugged")

    def camera() -> Iterator[np.ndarray]:
        yield from arrays()
        raise error

    found = []
    with pytest.raises(RuntimeError) as caught:
        for answer in model.predict_each(camera(), batch_size=4):
            found.append(answer)
    assert caught.value is error
    assert len(found) == len(LEVELS)


def explained(result: Prediction) -> Prediction:
    """The tiny model gives no heat map; lay one over its picture."""
    object.__setattr__(result, "explanation", Explanation("mel", np.zeros((2, 2), np.float32), None, None))
    return result


def test_the_overlay_of_a_file_that_has_changed_is_refused(model: Classifier, tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(encoded(10))
    before = path.stat()
    result = explained(model.predict(path))
    assert result.overlay().height == 40
    path.write_bytes(encoded(90))  # as long as before, and as old
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(InputRejected, match=r"a\.bmp is no longer the picture that was classified"):
        result.overlay()
    path.write_bytes(encoded(10))
    assert result.overlay().height == 40
    path.unlink()
    with pytest.raises(InputRejected, match="no such file"):
        result.overlay()


def test_the_overlay_is_found_from_another_folder(
    model: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.bmp").write_bytes(encoded(10))
    (tmp_path / "b" / "a.bmp").write_bytes(encoded(90))
    monkeypatch.chdir(tmp_path)
    result = explained(model.predict("a.bmp"))
    assert result.source == "a.bmp"
    monkeypatch.chdir("b")
    assert np.asarray(result.overlay())[0, 0].max() == 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_are_read_once_and_remembered(model: Classifier, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, encoded(60))
    os.close(writing)
    try:
        result = model.predict(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert result.source == f"/dev/fd/{reading}"
    assert np.asarray(explained(result).overlay())[0, 0].max() == 60


class Upload:
    """A picture as a web framework passes it on."""

    filename = "lesion.jpg"

    async def read(self) -> bytes:
        return b""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Upload(), r"Cannot read the image lesion\.jpg: its read\(\) is asynchronous\. Give the bytes"),
        (io.StringIO("text"), "the file is open as text. Open it in binary mode"),
        ([picture(1)], r"got list\. Several pictures go to predict_many\."),
        ({"a": 1}, r"got dict\."),
        (7, r"got int\."),
        ("", "The path of an image must not be empty."),
        ("a\0b.jpg", r"the image a\\x00b\.jpg: "),
        (bytearray(b"text"), r"Cannot read <4 bytes>: its content is no picture"),
        ("no/such.jpg", r"Cannot read the image no/such\.jpg: there is no such file\."),
    ],
)
def test_what_is_no_picture_gets_one_sentence(model: Classifier, source: Any, message: str) -> None:
    with pytest.raises(InputRejected, match=message) as caught:
        model.predict(source)
    [again] = model.predict_many([source])
    assert isinstance(again, Rejection)
    assert again.reason == str(caught.value)


def test_masked_pixels_stay_masked(model: Classifier) -> None:
    masked = np.ma.masked_equal(np.eye(SIZE, dtype=np.uint8), 1)
    with pytest.raises(InputRejected, match="no masked pixels"):
        model.predict(masked)
    assert isinstance(model.predict_many([masked])[0], Rejection)


def test_a_closed_file_and_one_that_fails(model: Classifier) -> None:
    closed = io.BytesIO(encoded(1))
    closed.close()
    with pytest.raises(InputRejected, match="closed file"):
        model.predict(closed)

    class Broken(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise ZeroDivisionError

    assert isinstance(model.predict_many([Broken(), picture(1)])[0], Rejection)
