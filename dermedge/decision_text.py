"""What calibration, prediction sets and decision of a file reach, as text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dermedge_runtime.decision import VERDICTS, DecisionRule
from dermedge_runtime.model.description import ModelSpec

from .tables import interval_text, table

_FIGURES = {
    "sensitivity": "urgent that are referred",
    "specificity": "others that are not",
    "ppv": "referred that are urgent",
    "npv": "not referred that are not urgent",
    "melanomas_referred": "melanomas that are referred",
    "melanomas_among_routine": "routine that are melanomas",
}


def calibration_text(spec: ModelSpec) -> str:
    """Give what a file's calibration is and reaches; one sentence for a file without."""
    if spec.decision is None:
        return "The file is not calibrated: it gives no prediction sets and no decision."
    lines = [_rule(spec.decision), *spec.calibration.get("notes", [])]
    scaling = spec.calibration["scaling"]
    if refused := scaling.get("refused"):
        lines.append(f"Scaled by a temperature: {refused}.")
    if found := spec.calibration.get("reached"):
        lines += ["", reached_text(found)]
    return "\n".join(lines)


def _rule(rule: DecisionRule) -> str:
    if not rule.urgent:
        return f"Prediction sets for a coverage of {rule.coverage:g}; no decision, as no class is urgent."
    own = f", or {rule.melanoma} {rule.melanoma_threshold:.3f}" if rule.melanoma else ""
    return (
        f"Refer from a summed probability of {rule.urgent_threshold:.3f} of {', '.join(rule.urgent)}{own} on (asked: a"
        f" sensitivity of {rule.sensitivity:g}); prediction sets for a coverage of {rule.coverage:g}."
    )


def reached_text(found: Mapping[str, Any]) -> str:
    """Give what `decision.reached.reached` measured."""
    errors = found["calibration"]
    lines = [
        f"{found['split']} split, {found['images']} images of {found['lesions']} lesions: expected calibration error"
        f" {errors['expected_calibration_error']:.3f} (a perfect model of such confidence:"
        f" {errors['of_a_perfect_model']:.3f}), classwise {errors['classwise_calibration_error']:.3f}, Brier score"
        f" {errors['brier_score']:.3f}"
    ]
    if decision := found["decision"]:
        rows = [
            [f"{name}, {words}", interval_text(decision[name])] for name, words in _FIGURES.items() if name in decision
        ]
        rows += [[f"answers: {verdict}", interval_text(decision[verdict])] for verdict in VERDICTS]
        lines.append(table([[name.replace("_", " "), value] for name, value in rows], ["decision", "share"]))
    sets = found["sets"]
    rows = [
        ["all", interval_text(sets["coverage"])],
        *([code, interval_text(own)] for code, own in sets["by_class"].items()),
    ]
    lines.append(table(rows, ["coverage of the sets", "share"]))
    lines.append(f"diagnoses in a set: {sets['size']:.2f}")
    return "\n".join(lines)
