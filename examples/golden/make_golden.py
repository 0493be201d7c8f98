"""Write the golden vector: a generated picture, what the model in the box must see of it, and what it must answer.

    python examples/golden/make_golden.py

Every client can compare itself with `golden.json`, value by value. Make it again with every new model in the box.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from dermedge.data.synthetic import picture
from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.files import atomic_path, write_json
from dermedge_runtime.inputs.image import load_image

HERE = Path(__file__).parent
CLINICAL = {"age": 55, "sex": "female", "site": "back"}
TOLERANCE = 0.02
"""Of every output. Below it: other CPUs, pixels that are one grey level off here and there. Above it: blue before red,
no antialiasing, the nearest pixel, a part of the frame, rows for columns, a clinical value that is left out."""
PLACES = ((0, 0), (0, 1), (1 / 2, 1 / 2), (4 / 5, 1 / 4), (1, 0))
"""Row and column of some pixels, as shares of the height and the width."""


def make_picture() -> Image.Image:
    """Draw a lesion, RGB, 400 x 300; of 16 levels, so that the file is small."""
    drawn = np.asarray(picture("bcc", np.random.default_rng(1), 400, 300))
    return Image.fromarray(drawn & 0xF0 | 0x08)


def golden(path: Path) -> dict[str, object]:
    """Give what a client must compute from a picture file."""
    classifier = Classifier(model_in_the_box(), "cpu", threads=1)
    assert classifier.spec.image is not None
    pixels = load_image(path, classifier.spec.image.size, classifier.spec.image.resample, classifier.spec.image.detail)
    last = classifier.spec.image.size - 1
    places = [(round(down * last), round(right * last)) for down, right in PLACES]
    numeric, categorical = classifier.spec.clinical.encode([CLINICAL])
    outputs = classifier.run(pixels[None], numeric, categorical)
    return {
        "model_file": classifier.name,
        "model_sha256": classifier.sha256,
        "picture": path.name,
        "picture_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "clinical": CLINICAL,
        "inputs": {
            "image_shape": [1, *pixels.shape],
            "image_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            "image_pixels": [{"row": y, "column": x, "rgb": pixels[y, x].tolist()} for y, x in places],
            "numeric": numeric.tolist(),
            "categorical": categorical.tolist(),
            "target": [-1],
        },
        "classes": list(classifier.spec.classes),
        "features": list(classifier.spec.clinical.features),
        "outputs": {name: outputs[name].astype(float).round(6).tolist() for name in classifier.spec.outputs},
        "tolerance": TOLERANCE,
    }


def main() -> None:
    """Write both files beside this one."""
    target = HERE / "picture.png"
    with atomic_path(target) as temporary:
        make_picture().save(temporary, "PNG", optimize=True)
    write_json(HERE / "golden.json", golden(target))


if __name__ == "__main__":
    main()
