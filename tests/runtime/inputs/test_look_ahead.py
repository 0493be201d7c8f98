"""Work ahead in threads: the order stays, the number is bounded, nothing is left behind."""

import threading
import time
from collections.abc import Iterator

import pytest

from dermedge_runtime.inputs.look_ahead import look_ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("look-ahead")]


def slow_first(number: int) -> int:
    time.sleep(0.02 if number % 3 == 0 else 0)
    return 10 * number


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("batch", [1, 3, 20, 50])
@pytest.mark.parametrize("ahead", [1, 7, 100])
def test_the_order_stays(workers: int, batch: int, ahead: int) -> None:
    found = list(look_ahead(slow_first, range(20), workers=workers, batch=batch, ahead=ahead))
    assert [number for part in found for number in part] == list(range(0, 200, 10))
    assert {len(part) for part in found[:-1]} <= {batch}
    assert threads() == []


def test_no_items() -> None:
    assert list(look_ahead(slow_first, [], workers=2, batch=2, ahead=3)) == []


@pytest.mark.parametrize(("batch", "ahead", "most"), [(1, 1, 1), (4, 1, 4), (2, 6, 6)])
def test_the_items_are_taken_as_they_are_needed(batch: int, ahead: int, most: int) -> None:
    taken: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            taken.append(len(taken))
            yield len(taken)

    results = look_ahead(slow_first, endless(), workers=2, batch=batch, ahead=ahead)
    for done in range(3):
        next(results)
        assert len(taken) == done * batch + most
    results.close()
    assert threads() == []


def test_work_really_goes_on_ahead() -> None:
    """The second item lets the first one end: alone, or one after the other, they would never."""
    second_began = threading.Event()

    def wait(number: int) -> bool:
        if number == 1:
            second_began.set()
        return second_began.wait(10)

    assert list(look_ahead(wait, range(2), workers=2, batch=1, ahead=2)) == [[True], [True]]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("batch", [1, 3])
def test_an_error_comes_in_its_turn_and_ends_everything(error: type[BaseException], batch: int) -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise error
        return number

    found: list[int] = []
    with pytest.raises(error):
        for part in look_ahead(fail, range(1000), workers=2, batch=batch, ahead=8):
            found += part
    assert found == [0, 1, 2]
    assert threads() == []


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_an_error_of_the_items_comes_unchanged_after_what_they_gave(batch: int) -> None:
    error = OSError("the camera is gone")

    def camera() -> Iterator[int]:
        yield from range(5)
        raise error

    found: list[int] = []
    with pytest.raises(OSError, match="the camera is gone") as caught:
        for part in look_ahead(slow_first, camera(), workers=2, batch=batch, ahead=8):
            found += part
    assert caught.value is error
    assert found == [0, 10, 20, 30, 40]


def test_what_has_not_begun_is_dropped() -> None:
    begun: list[int] = []

    def note(number: int) -> None:
        begun.append(number)
        time.sleep(0.005)

    results = look_ahead(note, range(100), workers=1, batch=1, ahead=50)
    next(results)
    results.close()
    assert len(begun) < 50
