"""What the packages log is shown on standard error while a command runs, and only then."""

import logging
import sys

import pytest

from dermedge_runtime.commands.log_lines import PACKAGES, log_on_stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_info_as_it_is_and_warnings_with_the_name(package: str, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger(f"{package}.some.module")
    with log_on_stderr():
        log.debug("unseen")
        log.info("epoch %d of %d", 1, 2)
        log.warning("the cache is full")
        log.error("no answer")
    assert capsys.readouterr() == ("", "epoch 1 of 2\ndermedge: the cache is full\ndermedge: no answer\n")


def test_other_libraries_are_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with log_on_stderr():
        logging.getLogger("dermedge_other").info("unseen")
    assert capsys.readouterr().err == ""


def test_afterwards_the_log_is_as_it_was(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    with log_on_stderr(), log_on_stderr():
        pass
    caplog.set_level(logging.INFO, "dermedge_runtime")
    logging.getLogger("dermedge_runtime.x").info("to the caller's own handlers")
    assert caplog.messages == ["to the caller's own handlers"]
    assert capsys.readouterr().err == ""


def test_a_closed_standard_error_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

    for stream in (None, Full()):
        monkeypatch.setattr(sys, "stderr", stream)
        with log_on_stderr():
            logging.getLogger("dermedge").info("unheard")
