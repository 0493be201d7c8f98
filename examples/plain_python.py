"""A dermedge model file in plain Python, without dermedge.

    pip install onnxruntime numpy pillow
    python plain_python.py MODEL.onnx PICTURE [age=55] [sex=female] [site=back]

Prints all outputs as JSON. Fields that are left out are unknown. Takes files of one size and, exported with --any-size,
of any. Not covered: what dermedge's runtime refuses (damaged files, values out of range) and its devices.
"""

import json
import os
import sys

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before ONNX Runtime is loaded

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read_picture(path: str, size: int | None, resample: str) -> np.ndarray:
    """Upright RGB as uint8 [1, H, W, 3]; with a size the whole frame is squashed to it, with antialiasing."""
    picture = ImageOps.exif_transpose(Image.open(path))
    if picture.has_transparency_data:  # laid on white
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if size is not None:
        picture = picture.resize((size, size), Image.Resampling[resample.upper()])
    return np.asarray(picture)[None]


def main(model: str, picture: str, *values: str) -> None:
    """Answer one picture."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    # The file describes itself: classes, fields and their vocabularies, in the order of the columns.
    spec = json.loads(session.get_modelmeta().custom_metadata_map["dermedge"])
    given = dict(value.split("=", 1) for value in values)
    clinical = spec["clinical"]
    if foreign := set(given) - {field["name"] for field in (*clinical["numeric"], *clinical["categorical"])}:
        sys.exit(f"The model has no field {', '.join(sorted(foreign))}.")
    numbers = [float(given.get(field["name"], "nan")) for field in clinical["numeric"]]  # NaN: unknown
    words = [-1] * len(clinical["categorical"])  # -1: unknown
    for column, field in enumerate(clinical["categorical"]):
        word, known = given.get(field["name"]), field["vocabulary"]
        if word is not None and word not in known:
            sys.exit(f"{field['name']} is one of {', '.join(known)}; got {word}.")
        words[column] = -1 if word is None else known.index(word)
    image = spec["image"]
    feed = {
        "numeric": np.array([numbers], np.float32),
        "categorical": np.array([words], np.int32),
        "target": np.array([-1], np.int32),  # explain the predicted class
    }
    if image is not None:
        feed["image"] = read_picture(picture, None if image.get("any_size") else image["size"], image["resample"])
    names = {value.name for value in session.get_inputs()}  # a model of one modality lacks the inputs of the other
    outputs = session.run(spec["outputs"], {name: array for name, array in feed.items() if name in names})
    found = {name: output[0].tolist() for name, output in zip(spec["outputs"], outputs, strict=True)}
    label = spec["classes"][int(np.argmax(found["probabilities"]))]
    json.dump({"label": label, "classes": spec["classes"], "features": spec["features"], **found}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("Usage: python plain_python.py MODEL.onnx PICTURE [FIELD=VALUE]...")
    main(*sys.argv[1:])
