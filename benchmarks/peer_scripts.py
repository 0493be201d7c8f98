"""Whole programs of the peers, each as short as its user would write it: import, open, read one picture, predict once.

Arguments: the model file or run folder, then the picture. Clinical values are left at zero: they cost nothing. ONNX
Runtime's telemetry is off in them too: they inherit the environment of the benchmark, which imports dermedge_runtime.
"""

from __future__ import annotations

from dermedge.bench.cold import TORCH_SCRIPT as TORCH

_PICTURE = """
import sys
import numpy as np
from PIL import Image
def read(size):
    pixels = Image.open(sys.argv[2]).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(pixels)[None]
"""

ONNXRUNTIME = (
    _PICTURE
    + """
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
feed = {}
for value in session.get_inputs():
    if value.name == "image":
        feed["image"] = read(value.shape[1])
    else:
        feed[value.name] = np.zeros((1, value.shape[1]), np.float32 if value.name == "numeric" else np.int32)
print(session.run(["probabilities"], feed)[0])
"""
)

OPENVINO = (
    _PICTURE
    + """
import openvino
model = openvino.Core().compile_model(sys.argv[1], "CPU")
feed = {}
for value in model.inputs:
    width = value.partial_shape[1].get_length()
    if value.any_name == "image":
        feed["image"] = read(width)
    else:
        feed[value.any_name] = np.zeros((1, width), np.float32 if value.any_name == "numeric" else np.int32)
print(model(feed)["probabilities"])
"""
)

TORCH_COMPILE = (
    _PICTURE
    + """
from pathlib import Path
import torch
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
run = Run.open(Path(sys.argv[1]))
model = torch.compile(trained_model(run).to(memory_format=torch.channels_last))
image = torch.from_numpy(read(run.config.image_size)).permute(0, 3, 1, 2).float().div(255)
with torch.inference_mode():
    image = image.contiguous(memory_format=torch.channels_last)
    print(torch.softmax(model(image, torch.full((1, 1), 55.0), torch.zeros((1, 2), dtype=torch.int32)), 1))
"""
)

__all__ = ["ONNXRUNTIME", "OPENVINO", "TORCH", "TORCH_COMPILE"]
