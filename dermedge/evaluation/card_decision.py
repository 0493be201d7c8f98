"""The part of a model card about calibration, prediction sets, unfamiliar pictures and the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dermedge.data.samples import Sample
from dermedge.tables import interval_text
from dermedge.training.answers import Answers
from dermedge_export.decision.reached import reached
from dermedge_export.decision.record import check_record
from dermedge_runtime import Classifier
from dermedge_runtime.decision import VERDICTS, DecisionRule

_FIGURES: dict[str, str] = {
    "sensitivity": "urgent lesions that are referred (sensitivity)",
    "specificity": "others that are not referred (specificity)",
    "ppv": "referred ones that are urgent (PPV)",
    "npv": "not referred ones that are not urgent (NPV)",
    "melanomas_referred": "melanomas that are referred",
    "melanomas_among_routine": "melanomas among the routine answers",
    "urgent_among_routine": "urgent lesions among the routine answers",
    **{verdict: f"answers that are {verdict}" for verdict in VERDICTS},
}


def decision_parts(classifier: Classifier, samples: Sequence[Sample], answers: Answers, part: str) -> dict[str, Any]:
    """Give what the card's template says about a calibrated file.

    :param answers: to these samples.
    :raises ModelFileError: what the file says of its calibration is damaged.
    """
    spec = classifier.spec
    check_record(spec, classifier.name)
    found = reached(classifier, samples, part, answers)
    rule = spec.decision
    assert rule is not None
    errors, before = found["calibration"], spec.calibration["validation"]["before"]
    return {
        "decision": _rule(rule, spec.class_names),
        "decision_notes": spec.calibration.get("notes", []),
        "calibration": (
            f"Expected calibration error {errors['expected_calibration_error']:.3f} in 15 bins; a perfectly calibrated"
            f" model of the same confidences would show {errors['of_a_perfect_model']:.3f}. Classwise"
            f" {errors['classwise_calibration_error']:.3f}, Brier score {errors['brier_score']:.3f}. On validation it"
            f" was {before['expected_calibration_error']:.3f} before the calibration."
        ),
        "scaling": _scaling(spec.calibration["scaling"]),
        "decided": _decided(found["decision"]),
        "sets": _sets(found["sets"], spec.class_names),
        "set_size": f"{found['sets']['size']:.2f}",
        "coverage": f"{rule.coverage:g}",
        "unfamiliar": _unfamiliar(spec.calibration.get("unfamiliar"), found["unfamiliar"]),
    }


def _rule(rule: DecisionRule, names: Mapping[str, str]) -> str:
    if not rule.urgent:
        return "No class is urgent to its schema: it gives prediction sets and no decision."
    urgent = ", ".join(names.get(code, code) for code in rule.urgent)
    own = ""
    if rule.melanoma:
        own = f", or {names.get(rule.melanoma, rule.melanoma)} alone has {100 * rule.melanoma_threshold:.1f} % or more"
    return (
        f"`refer` where {urgent} together have {100 * rule.urgent_threshold:.1f} % or more{own}; asked for: a"
        f" sensitivity of {rule.sensitivity:g}. `unsure` where the picture is unfamiliar or unfit, or its prediction"
        " set says nothing; else `routine`. Every threshold is from the validation split."
    )


def _scaling(record: Mapping[str, Any]) -> str:
    if record["method"] == "temperature":
        why = f"; {record['refused']}" if "refused" in record else ""
        return f"One temperature for all classes, {record['temperature']:.3f}{why}."
    return "A scale and an offset for every class."


def _decided(figures: Mapping[str, Any] | None) -> pd.DataFrame | None:
    if figures is None:
        return None
    rows = [(words, interval_text(figures[name])) for name, words in _FIGURES.items() if name in figures]
    return pd.DataFrame(rows, columns=["share of", "[95 % interval]"])


def _sets(figures: Mapping[str, Any], names: Mapping[str, str]) -> pd.DataFrame:
    rows = [("all", interval_text(figures["coverage"]))]
    rows += [(f"{code} ({names.get(code, code)})", interval_text(own)) for code, own in figures["by_class"].items()]
    return pd.DataFrame(rows, columns=["class", "coverage"])


def _unfamiliar(record: Mapping[str, Any] | None, share: float | None) -> str:
    if record is None or share is None:
        return ""
    chosen = record["ood_score"]
    worst = min(chosen["auroc"].values())
    made_of = "the last features"
    if "side" in chosen:
        made_of = f"the {chosen['channels']} channels after a stage of {chosen['side']} x {chosen['side']} cells"
    return (
        f"`ood_score` is made of {made_of} ({chosen['method']}, {chosen['components']} components), learned from"
        f" {record['training_images']} training images. Drawn outliers (noise, documents, faces, sky, textures, skin"
        f" from afar) are told from validation images with an AUROC of {worst:.3f} or more. {share:.1%} of the images"
        " here are above 1."
    )
