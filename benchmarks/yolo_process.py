"""`yolo classify predict` as a whole process, where a user has it. It is AGPL: not our dependency, never imported."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

_MODEL = "yolo11n-cls"


def yolo_command(given: str | None, size: int, folder: Path, picture: Path) -> list[str] | str:
    """Let yolo build a network from its own description, untrained, which costs no speed, and export it.

    :param given: the command, or None to look for it.
    :return: the command that classifies one picture, or the reason why there is none.
    """
    yolo = given or shutil.which("yolo")
    if yolo is None:
        return "no yolo command on the path"
    # It must not fetch weights or install packages while it is timed.
    os.environ.update(YOLO_OFFLINE="true", YOLO_AUTOINSTALL="false")
    export = [yolo, "export", f"model={_MODEL}.yaml", "format=onnx", f"imgsz={size}"]
    done = subprocess.run(export, cwd=folder, capture_output=True, text=True, check=False)
    model = next(iter(sorted(folder.glob("yolo*.onnx"))), None)
    if done.returncode or model is None:
        return f"yolo export failed: {' '.join(done.stderr.split())[-300:]}"
    return [
        *(yolo, "classify", "predict", f"model={model}", f"source={picture}", f"imgsz={size}", "device=cpu"),
        *(f"project={folder / 'yolo'}", "exist_ok=True"),
    ]
