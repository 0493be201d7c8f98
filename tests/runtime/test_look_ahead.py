"""Work ahead in threads: the order stays, the number is bounded, nothing is left behind."""

import threading
import time
from collections.abc import Callable

import pytest

from dermedge_runtime.look_ahead import look_ahead


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("look-ahead")]


def slow_first(number: int) -> int:
    time.sleep(0.02 if number % 3 == 0 else 0)
    return 10 * number


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("ahead", [1, 2, 7, 100])
def test_the_order_stays(workers: int, ahead: int) -> None:
    found = list(look_ahead(slow_first, range(20), workers=workers, ahead=ahead))
    assert found == list(range(0, 200, 10))
    assert threads() == []


def test_no_items() -> None:
    assert list(look_ahead(slow_first, [], workers=2, ahead=3)) == []


def test_the_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> object:
        for number in range(100):
            taken.append(number)
            yield number

    results = look_ahead(slow_first, items(), workers=2, ahead=5)
    for done in range(1, 4):
        next(results)
        assert len(taken) == done + 4
    results.close()
    assert threads() == []


def test_work_really_goes_on_ahead() -> None:
    """The second item lets the first one end: alone, or one after the other, they would never."""
    second_began = threading.Event()

    def wait(number: int) -> bool:
        if number == 1:
            second_began.set()
        return second_began.wait(10)

    assert list(look_ahead(wait, range(2), workers=2, ahead=2)) == [True, True]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_comes_in_its_turn_and_ends_everything(error: type[BaseException]) -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise error
        return number

    found = []
    with pytest.raises(error):
        for result in look_ahead(fail, range(1000), workers=2, ahead=8):
            found.append(result)
    assert found == [0, 1, 2]
    assert threads() == []


def test_what_has_not_begun_is_dropped() -> None:
    begun: list[int] = []

    def note(number: int) -> None:
        begun.append(number)
        time.sleep(0.005)

    results = look_ahead(note, range(100), workers=1, ahead=50)
    next(results)
    results.close()
    assert len(begun) < 50


@pytest.mark.parametrize("alone", [lambda number: True, lambda number: number % 2 == 0])
def test_items_that_are_not_for_threads(alone: Callable[[int], bool]) -> None:
    ran_in = {}

    def note(number: int) -> int:
        ran_in[number] = threading.current_thread()
        return number

    assert list(look_ahead(note, range(10), workers=2, ahead=4, alone=alone)) == list(range(10))
    assert {number for number, thread in ran_in.items() if thread is threading.main_thread()} == {
        number for number in range(10) if alone(number)
    }
