"""The files that start the service give it options that it has, and take away what they say."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from docs.parse_command import check

EXAMPLES = Path(__file__).parents[2] / "examples"
UNIT = (EXAMPLES / "dermedge.service").read_text()
DOCKERFILE = (EXAMPLES / "Dockerfile").read_text()


def _unit_values(name: str) -> list[str]:
    lines = UNIT.replace("\\\n", " ").splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{name}=")]


def test_the_units_command() -> None:
    [command] = _unit_values("ExecStart")
    program, *arguments = shlex.split(command)
    assert program.endswith("/bin/dermedge")
    check(arguments)
    credentials = {value.partition(":")[0] for value in _unit_values("LoadCredential")}
    assert set(re.findall(r"\$\{CREDENTIALS_DIRECTORY\}/(\S+)", command)) == credentials
    assert _unit_values("StateDirectory") and "${STATE_DIRECTORY}/" in command


def test_the_images_command() -> None:
    [command] = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    program, *arguments = json.loads(command)
    assert program.endswith("/bin/dermedge")
    check(arguments)
    users = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    assert users and f"--uid {users[-1]} " in DOCKERFILE and users[-1] != "0"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    [program] = re.findall(r"^ExecStart=(\S+)", UNIT, re.MULTILINE)
    unit = tmp_path / "dermedge.service"
    unit.write_text(UNIT.replace(f"ExecStart={program}", "ExecStart=/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
