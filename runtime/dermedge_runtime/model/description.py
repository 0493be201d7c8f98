"""What a model file says about itself: frozen dataclasses and their JSON form (`metadata_props["dermedge"]`).

The JSON is the border between exporter and runtime: everything the runtime must know travels in it. Free-form
reports (training, metrics, conversion, calibration, parity, versions) are carried as they are and never interpreted by
the runtime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dermedge_runtime.decision import DecisionRule
from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.inputs.clinical import IMPUTE, CategoricalField, ClinicalSchema, NumericField
from dermedge_runtime.inputs.image import DETAIL, DETAILS, RESAMPLING

from .description_check import check_spec, entries, flag, integer, mapping, number, text, texts
from .strict_json import printable, read_json

SCHEMA_VERSION = 1
METADATA_KEY = "dermedge"
SAFE_WEIGHT_BITS = 7
"""Two INT8 weights of so many bits, times 255, add up to less than 16 bits hold."""
DIGEST_KEY = "file_sha256"
"""Entry of the JSON that holds the digest of the whole file; `digest` writes and checks it."""
_EXPLANATIONS = frozenset({"heatmap", "relevance", "attribution"})


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """How a picture becomes the `image` input."""

    size: int
    """Height and width in pixels, 1 to 4096."""
    resample: str
    """Resampling filter of Pillow, a key of `image.RESAMPLING`."""
    color: str = "RGB"
    any_size: bool = False
    """The graph takes pictures of any height and width, and squashes them to `size` itself, as Pillow does.

    That is for clients in other languages. This runtime resizes before the graph, for such a file as for any other: a
    picture of the graph's own size passes its resizing unchanged, so both files give the same answers.
    """
    detail: int = DETAIL
    """How much of a JPEG file is decoded, as in training: see `image.DETAILS`."""

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 4096 or self.resample not in RESAMPLING or self.color != "RGB":
            raise ValueError(f"image spec {self.size} {self.resample} {self.color} is not supported")
        if self.detail not in DETAILS:
            raise ValueError(f"image detail {self.detail} is not supported")
        if self.any_size and self.resample != "bilinear":
            raise ValueError(f"a graph that resizes is bilinear, not {self.resample}")


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
    """Names of the graph's outputs: of heatmap, relevance, attribution, ood_score and lesion_ood_score those that the
    model can give."""
    flavour: str = "any"
    """any, cpu or rtx: the devices for which an INT8 file was quantised."""
    ig_steps: int | None = None
    """Steps of the integrated gradients behind relevance and attribution, each taken in its middle; None: the file has
    neither, or does not say. Files that do not say have 50."""
    weights_sha256: str = ""
    """Hash of the trained weights the file was made from."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Data, protocol, split hash and settings."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    conversion: Mapping[str, Any] = field(default_factory=dict)
    """How the precision was made: calibration, value ranges, layers that stay in float32."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """The measured comparison with the trained weights that let this file be published."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """How the probabilities were calibrated, what tells an unfamiliar picture, and what the decision reaches."""
    decision: DecisionRule | None = None
    """Thresholds of prediction sets and decision; None: the file was not calibrated."""
    no_heatmap: str = ""
    """Why a file with explanations has no heat map of the picture that it reads, one sentence; empty: it has one, reads
    none, or was exported without explanations."""
    licence: str = ""
    intended_use: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes must be two or more different codes, found {list(self.classes)}")
        if self.image is None and not self.clinical.names:
            raise ValueError("the model reads neither an image nor a clinical field")
        if self.no_heatmap and (self.image is None or "heatmap" in self.outputs):
            raise ValueError("a reason why there is no heat map, of a model that has one or reads no picture")
        if self.ig_steps is not None and (self.ig_steps < 1 or "attribution" not in self.outputs):
            raise ValueError(
                f"{self.ig_steps} steps of integrated gradients with the outputs {', '.join(self.outputs)}"
            )

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
        return not _EXPLANATIONS.isdisjoint(self.outputs)

    @property
    def saturates(self) -> bool:
        """Whether INT8 sums of this file can be cut off on x86 CPUs without VNNI, and its answers be wrong there.

        True for INT8 files of earlier versions, which have weights of eight bits: such a session must ask ONNX Runtime
        for `session.x64quantprecision`.
        """
        bits = self.conversion.get("weight_bits")
        return self.precision == "int8" and not (isinstance(bits, int) and bits <= SAFE_WEIGHT_BITS)

    def to_json(self, *, digest: str | None = None) -> str:
        """Give canonical JSON: sorted keys, no spaces, ASCII.

        :param digest: of the whole file, or the zeros that keep its place.
        """
        record = asdict(self) | {"schema_version": SCHEMA_VERSION, "features": list(self.clinical.features)}
        if digest is not None:
            record[DIGEST_KEY] = digest
        if self.image is not None and not self.image.any_size:
            del record["image"]["any_size"]
        if self.image is not None and self.image.detail == DETAIL:
            del record["image"]["detail"]
        for name in ("ig_steps", "calibration", "decision", "no_heatmap"):
            if not record[name]:
                del record[name]
        for each in (*record["clinical"]["numeric"], *record["clinical"]["categorical"]):
            if each["imputed"] is None:
                del each["imputed"]
            if not each["synonyms"]:
                del each["synonyms"]
        return json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, described: str, source: str) -> ModelSpec:
        """Read `to_json`'s text.

        :param source: name of the file, for messages.
        :raises ModelFileError: no JSON, another schema version, or a field that is missing or makes no sense.
        """
        try:
            record = read_json(described)
            version = record.get("schema_version")
            if version != SCHEMA_VERSION or isinstance(version, bool | float):
                raise ModelFileError(
                    f"{source}: its description has schema version {str(version)[:40]}, this dermedge reads"
                    f" {SCHEMA_VERSION}. Export the model again, or install the version that made it."
                )
            _require_known(record)
            spec = cls._from_record(record)
            check_spec(spec)
            return spec
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError) as error:
            detail = printable(f"missing {error}" if isinstance(error, KeyError) else str(error))
            raise ModelFileError(
                f"{source}: its dermedge description is damaged ({detail}). Export it again."
            ) from error

    @classmethod
    def _from_record(cls, record: dict[str, Any]) -> ModelSpec:
        image = record["image"]
        spec = cls(
            classes=texts(record, "classes"),
            class_names=_text_by_text(record, "class_names"),
            fusion=text(record, "fusion"),
            precision=text(record, "precision"),
            image=None if image is None else _image(image),
            clinical=_clinical(mapping(record, "clinical")),
            outputs=texts(record, "outputs"),
            flavour=text(record, "flavour"),
            # Earlier files of this schema version lack it.
            ig_steps=integer(record, "ig_steps") if "ig_steps" in record else None,
            weights_sha256=text(record, "weights_sha256"),
            training=mapping(record, "training"),
            metrics=mapping(record, "metrics"),
            # Earlier files of this schema version lack it.
            conversion=mapping(record, "conversion") if "conversion" in record else {},
            parity=mapping(record, "parity"),
            # Files that were not calibrated, earlier ones among them, lack both.
            calibration=mapping(record, "calibration") if "calibration" in record else {},
            decision=_decision(mapping(record, "decision")) if "decision" in record else None,
            # Of files whose image branch has none alone.
            no_heatmap=text(record, "no_heatmap") if "no_heatmap" in record else "",
            licence=text(record, "licence"),
            intended_use=text(record, "intended_use"),
            versions=_text_by_text(record, "versions"),
        )
        if "features" in record and texts(record, "features") != spec.clinical.features:
            raise ValueError("features are not those of the clinical fields")
        return spec


def _image(record: dict[str, Any]) -> ImageSpec:
    # Files of one size, earlier ones among them, do not name `any_size`, nor the detail that is usual.
    any_size = flag(record, "any_size") if "any_size" in record else False
    detail = integer(record, "detail") if "detail" in record else DETAIL
    return ImageSpec(integer(record, "size"), text(record, "resample"), text(record, "color"), any_size, detail)


def _clinical(record: dict[str, Any]) -> ClinicalSchema:
    # Earlier files of this schema version lack `unknown` and `imputed`: they impute with values that they do not name.
    # Files of data without synonyms lack those, too.
    return ClinicalSchema(
        numeric=tuple(
            NumericField(
                text(f, "name"),
                text(f, "unit"),
                number(f, "minimum"),
                number(f, "maximum"),
                number(f, "imputed") if "imputed" in f else None,
                _numbers_by_text(f, "synonyms") if "synonyms" in f else {},
            )
            for f in entries(record, "numeric")
        ),
        categorical=tuple(
            CategoricalField(
                text(f, "name"),
                texts(f, "vocabulary"),
                text(f, "imputed") if "imputed" in f else None,
                _text_by_text(f, "synonyms") if "synonyms" in f else {},
            )
            for f in entries(record, "categorical")
        ),
        unknown=text(record, "unknown") if "unknown" in record else IMPUTE,
    )


def _decision(record: dict[str, Any]) -> DecisionRule:
    # With a digest, too: a rule that is half understood would decide otherwise than its maker has measured.
    unknown = sorted(set(record) - {entry.name for entry in fields(DecisionRule)})
    if unknown:
        raise ValueError(f"the entry '{unknown[0][:100]}' of the decision is unknown")
    thresholds = mapping(record, "set_thresholds")
    return DecisionRule(
        set_thresholds={code: number(thresholds, code) for code in thresholds},
        coverage=number(record, "coverage"),
        marginal=texts(record, "marginal"),
        urgent=texts(record, "urgent"),
        urgent_threshold=number(record, "urgent_threshold"),
        melanoma=None if record["melanoma"] is None else text(record, "melanoma"),
        melanoma_threshold=number(record, "melanoma_threshold"),
        sensitivity=number(record, "sensitivity"),
    )


def _text_by_text(record: dict[str, Any], key: str) -> dict[str, str]:
    inner = mapping(record, key)
    return {name: text(inner, name) for name in inner}


def _numbers_by_text(record: dict[str, Any], key: str) -> dict[str, float]:
    inner = mapping(record, key)
    return {name: number(inner, name) for name in inner}


def _require_known(record: dict[str, Any]) -> None:
    """Refuse an unknown entry in a file without digest: it may be the digest's own name with one bit flipped.

    With a digest, which was checked before, it is what a newer dermedge has to say beyond this one.
    """
    known = {entry.name for entry in fields(ModelSpec)} | {"schema_version", "features", DIGEST_KEY}
    unknown = next((key for key in record if key not in known), None)
    if unknown is not None and DIGEST_KEY not in record:
        raise ValueError(f"the entry '{unknown[:100]}' is unknown")
