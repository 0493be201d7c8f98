"""What a model file says about itself: frozen dataclasses and their JSON form (`metadata_props["dermedge"]`).

The JSON is the border between exporter and runtime: everything the runtime must know travels in it. Free-form
reports (training, metrics, conversion, parity, versions) are carried as they are and never interpreted by the runtime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .clinical import CategoricalField, ClinicalSchema, NumericField
from .errors import ModelFileError
from .image import RESAMPLING

SCHEMA_VERSION = 1
METADATA_KEY = "dermedge"
SAFE_WEIGHT_BITS = 7
"""Two INT8 weights of so many bits, times 255, add up to less than 16 bits hold."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How a picture becomes the `image` input."""

    size: int
    """Height and width in pixels, 1 to 4096."""
    resample: str
    """Resampling filter of Pillow, a key of `image.RESAMPLING`."""
    color: str = "RGB"

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096 or self.resample not in RESAMPLING or self.color != "RGB":
            raise ValueError(f"image spec {self.size} {self.resample} {self.color} is not supported")


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything the runtime knows about a model."""

    classes: tuple[str, ...]
    """Codes, in the order of the `probabilities` columns."""
    class_names: Mapping[str, str]
    fusion: str
    precision: str
    """fp32, fp16 or int8."""
    image: ImageSpec | None
    """None: the model reads no picture."""
    clinical: ClinicalSchema
    """Empty: the model reads no clinical field."""
    outputs: tuple[str, ...] = ("probabilities",)
    """Names of the graph's outputs: of heatmap, relevance and attribution those that the model can give."""
    flavour: str = "any"
    """any, cpu or rtx: the devices for which an INT8 file was quantised."""
    weights_sha256: str = ""
    """Hash of the trained weights the file was made from."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, protocol, split hash and settings."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    conversion: Mapping[str, Any] = field(default_factory=dict)
    """How the precision was made: calibration, value ranges, layers that stay in float32."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """The measured comparison with the trained weights that let this file be published."""
    licence: str = ""
    intended_use: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be two or more different codes, found {list(self.classes)}")
        if self.image is None and not self.clinical.names:
            raise ValueError("the model reads neither an image nor a clinical field")

    @property
    def array_inputs(self) -> tuple[str, ...]:
        """Of the inputs image, numeric and categorical those that the model reads."""
        present = {
            "image": self.image is not None,
            "numeric": bool(self.clinical.numeric),
            "categorical": bool(self.clinical.categorical),
        }
        return tuple(name for name, read in present.items() if read)

    @property
    def explains(self) -> bool:
        """Whether the file was exported with explanations."""
        return len(self.outputs) > 1

    @property
    def saturates(self) -> bool:
        """Whether INT8 sums of this file can be cut off on x86 CPUs without VNNI, and its answers be wrong there.

        True for INT8 files of earlier versions, which have weights of eight bits: such a session must ask ONNX Runtime
        for `session.x64quantprecision`.
        """
        bits = self.conversion.get("weight_bits")
        return self.precision == "int8" and not (isinstance(bits, int) and bits <= SAFE_WEIGHT_BITS)

    def to_json(self) -> str:
        """Give canonical JSON: sorted keys, no spaces, ASCII."""
        record = asdict(self) | {"schema_version": SCHEMA_VERSION, "features": list(self.clinical.features)}
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str, source: str) -> ModelSpec:
        """Read `to_json`'s text.

        :param source: name of the file, for messages.
        :raises ModelFileError: no JSON, another schema version, or a field that is missing or makes no sense.
        """
        try:
            record = json.loads(text)
            if not isinstance(record, dict):
                raise TypeError("the description is no JSON object")
            version = record.get("schema_version")
            if version != SCHEMA_VERSION:
                raise ModelFileError(
                    f"{source}: its description has schema version {version}, this dermedge reads {SCHEMA_VERSION}."
                    " Export the model again, or install the version that made it."
                )
            return cls._from_record(record)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            detail = f"missing {error}" if isinstance(error, KeyError) else str(error)
            raise ModelFileError(
                f"{source}: its dermedge description is damaged ({detail}). Export it again."
            ) from error

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> ModelSpec:
        clinical = record["clinical"]
        image = record["image"]
        return cls(
            classes=tuple(str(code) for code in record["classes"]),
            class_names={str(code): str(name) for code, name in record["class_names"].items()},
            fusion=str(record["fusion"]),
            precision=str(record["precision"]),
            image=None if image is None else ImageSpec(int(image["size"]), str(image["resample"]), str(image["color"])),
            clinical=ClinicalSchema(
                numeric=tuple(
                    NumericField(str(f["name"]), str(f["unit"]), float(f["minimum"]), float(f["maximum"]))
                    for f in clinical["numeric"]
                ),
                categorical=tuple(
                    CategoricalField(str(f["name"]), tuple(str(word) for word in f["vocabulary"]))
                    for f in clinical["categorical"]
                ),
            ),
            outputs=tuple(str(name) for name in record["outputs"]),
            flavour=str(record["flavour"]),
            weights_sha256=str(record["weights_sha256"]),
            training=dict(record["training"]),
            metrics=dict(record["metrics"]),
            conversion=dict(record.get("conversion", {})),  # earlier files of this schema version lack it
            parity=dict(record["parity"]),
            licence=str(record["licence"]),
            intended_use=str(record["intended_use"]),
            versions={str(key): str(value) for key, value in record["versions"].items()},
        )
