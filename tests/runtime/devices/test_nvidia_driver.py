"""NVIDIA's driver is asked through its own libraries; none of its states ends in an exception."""

from fake_cuda import FakeCuda, FakeNvml, loader

from dermedge_runtime.devices.nvidia_driver import Card, Driver, find_driver

CARDS = (("NVIDIA GeForce RTX 4090", 8, 9), ("NVIDIA H200", 9, 0))


def test_no_driver() -> None:
    def load(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    assert find_driver(load) is None


def test_a_driver_with_two_cards() -> None:
    driver = find_driver(loader(FakeCuda(CARDS, cuda=12040), FakeNvml()))
    cards = (Card("NVIDIA GeForce RTX 4090", (8, 9)), Card("NVIDIA H200", (9, 0)))
    assert driver == Driver("580.95.05", (12, 4), cards)
    assert str(driver) == "NVIDIA driver 580.95.05"


def test_a_driver_without_its_management_library() -> None:
    driver = find_driver(loader(FakeCuda(CARDS)))
    assert driver is not None
    assert (driver.version, str(driver), len(driver.cards)) == ("", "NVIDIA driver", 2)


def test_a_driver_that_sees_no_card_is_no_trouble() -> None:
    assert find_driver(loader(FakeCuda(code=100), FakeNvml())) == Driver("580.95.05", (13, 0), ())


def test_a_driver_that_does_not_start() -> None:
    driver = find_driver(loader(FakeCuda(CARDS, code=803), FakeNvml()))
    assert driver == Driver("580.95.05", (13, 0), (), "trouble 803 (code 803)")
