"""One self-contained HTML page about one prediction: picture, heat map, probabilities, clinical values, what made it.

No script, no link, nothing loaded from elsewhere: it can be mailed, archived and opened without a network.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape

import numpy as np
from PIL import Image

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.explanation import Explanation, colours, counted_as, overlay
from dermedge_runtime.inputs.clinical import UNKNOWN, value_text
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.prediction import Prediction

_LARGEST = 1000
"""Pixels of the longer side of the pictures in the page."""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1e; background: #fff; margin: 0 auto; max-width: 62rem;
  padding: 1.5rem; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.notice { background: #fff4d6; border-left: 4px solid #d49b00; padding: .6rem 1rem; margin: 1rem 0; }
.decision { border-left: 4px solid #8e8e93; padding: .3rem 1rem; margin: 1rem 0; background: #f4f4f6; }
.decision.refer { border-color: #b3261e; } .decision.unsure { border-color: #d49b00; }
.decision.routine { border-color: #2e7d32; } .decision ul { margin: .2rem 0; padding-left: 1.2rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; } img { display: block; width: 100%; height: auto; border-radius: 4px; }
figcaption, p.small { color: #555; font-size: .9rem; } figcaption { margin-top: .3rem; }
.scale { white-space: nowrap; }
.colours { display: inline-block; width: 8rem; height: .7rem; vertical-align: -.05rem; margin: 0 .3rem; }
table { border-collapse: collapse; width: 100%; } td, th { padding: .15rem .5rem .15rem 0; vertical-align: middle; }
th { text-align: left; font-weight: 600; border-bottom: 1px solid #c7c7cc; } th.number { text-align: right; }
td.number { text-align: right; font-variant-numeric: tabular-nums; width: 5rem; } td.bar, th.bar { width: 45%; }
.bar div { background: #3b6ea8; height: .8rem; border-radius: 2px; } tr.first { font-weight: 600; }
th.bar span { float: right; } td.unknown { color: #666; font-style: italic; }
td.bar .signed { position: relative; background: #f1f1f4; } .signed div { position: absolute; top: 0; }
.signed .zero { left: 50%; width: 1px; height: 1.1rem; top: -.15rem; background: #1c1c1e; border-radius: 0; }
.signed .for { left: 50%; } .signed .against { right: 50%; background: #c8621b; }
.details { table-layout: fixed; } .details td { border-top: 1px solid #e4e4e7; overflow-wrap: anywhere; }
.details td:first-child { width: 8rem; vertical-align: top; }
"""
"""Of every page that this package writes."""


def html_report(result: Prediction, spec: ModelSpec) -> str:
    """Make the page.

    :raises DermedgeError: the picture's file is gone or has changed since.
    """
    name = spec.class_names.get(result.label, result.label)
    use = spec.intended_use.removeprefix("Research use only.")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(name)} - dermedge</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape(name)} <small>({result.probabilities[result.label]:.1%})</small></h1>",
        f'<p class="notice"><strong>Research use only.</strong>{escape(use)}</p>',
        _decision(result),
        _pictures(result, spec),
        _in_words(result),
        "<h2>Probabilities</h2>",
        _probabilities({f"{spec.class_names.get(c, c)} ({c})": v for c, v in result.probabilities.items()}),
        _clinical_values(result, spec),
        "<h2>Picture and model</h2>",
        _details(result, spec),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _explained(explanation: Explanation, spec: ModelSpec) -> str:
    return spec.class_names.get(explanation.target, explanation.target)


def _pictures(result: Prediction, spec: ModelSpec) -> str:
    if result.picture is None:
        return ""
    picture = result.upright(_LARGEST)
    figures = [_figure(picture, "The picture as it was given, upright.")]
    explanation = result.explanation
    if explanation is not None and explanation.grid is not None:
        chosen = _explained(explanation, spec)
        # Without the colour bar, so that both pictures have one size; the caption has it.
        hot = overlay(picture, explanation.grid).crop((0, 0, *picture.size))
        scale = f' <span class="scale">nothing {_colour_bar()} most</span>'
        figures.append(_figure(hot, f"Grad-CAM: what in the picture spoke for “{chosen}”.", scale))
    return f'<div class="pictures">{"".join(figures)}</div>'


def _decision(result: Prediction) -> str:
    """Show what to do next and why, and what else is possible; for a file without, what is wrong with the picture."""
    verdict = "" if result.decision is None else f"<strong>{escape(result.decision)}</strong>"
    reasons = result.picture_faults if result.decision is None else result.reasons
    listed = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return f'<div class="decision {result.decision or "none"}">{verdict}<ul>{listed}</ul></div>' if listed else ""


def _in_words(result: Prediction) -> str:
    text = result.explanation_text
    return "" if text is None else f"<h2>In words</h2><p>{escape(text)}</p>"


def _figure(image: Image.Image, caption: str, more: str = "") -> str:
    """Show a picture.

    :param more: HTML that follows the caption.
    """
    encoded = io.BytesIO()
    image.save(encoded, format="JPEG", quality=90)
    data = base64.b64encode(encoded.getvalue()).decode()
    size = f'width="{image.width}" height="{image.height}"'
    text = escape(caption)
    return (
        f'<figure><img {size} alt="{text}" src="data:image/jpeg;base64,{data}">'
        f"<figcaption>{text}{more}</figcaption></figure>"
    )


def _colour_bar() -> str:
    steps = ", ".join(f"rgb({r},{g},{b})" for r, g, b in colours(np.linspace(0, 1, 9, dtype=np.float32)).tolist())
    return f'<span class="colours" style="background:linear-gradient(to right, {steps})"></span>'


def _probabilities(values: Mapping[str, float]) -> str:
    rows = []
    for index, (name, value) in enumerate(sorted(values.items(), key=lambda item: -item[1])):
        first = ' class="first"' if index == 0 else ""
        bar = f'<td class="bar"><div style="width:{100 * value:.1f}%"></div></td>'
        rows.append(f'<tr{first}><td>{escape(name)}</td>{bar}<td class="number">{value:.1%}</td></tr>')
    return f"<table>{''.join(rows)}</table>"


def _clinical_values(result: Prediction, spec: ModelSpec) -> str:
    """Show every field once: its value, and how far it moved the score of the explained class, and to which side."""
    explanation = result.explanation
    if not spec.clinical.names or explanation is None or explanation.attribution is None:
        return ""
    chosen = escape(_explained(explanation, spec))
    moved = dict.fromkeys(spec.clinical.names, 0.0)
    for feature, value in explanation.attribution.items():
        moved[feature.partition("=")[0]] += value
    largest = max(map(abs, moved.values())) or 1.0
    rows = []
    for name, value in moved.items():
        side, width = ("against" if value < 0 else "for"), 50 * abs(value) / largest
        bar = f'<div class="{side}" style="width:{width:.1f}%"></div><div class="zero"></div>'
        style = ' class="unknown"' if name not in result.given else ""
        rows.append(
            f"<tr><td>{escape(name)}</td><td{style}>{escape(_value(result, spec, name))}</td>"
            f'<td class="bar"><div class="signed">{bar}</div></td><td class="number">{value:+.3f}</td></tr>'
        )
    head = (
        '<tr><th>Field</th><th>Value</th><th class="bar">against<span>for</span></th><th class="number">Score</th></tr>'
    )
    return (
        f"<h2>Clinical values, and what each did to “{chosen}”</h2><table>{head}{''.join(rows)}</table>"
        f'<p class="small">Integrated gradients from the zero of the encoded values, summed over each field, in units'
        f" of the score of “{chosen}” before the softmax: what is to the right of the line, with a plus, raised the"
        " score; what is to the left, with a minus, lowered it.</p>"
    )


def _value(result: Prediction, spec: ModelSpec, name: str) -> str:
    if name in result.imputed:
        return counted_as(result.imputed[name])
    if name not in result.given:
        return UNKNOWN
    units = {field.name: f" {field.unit}" for field in spec.clinical.numeric if field.unit}
    return value_text(result.given[name]) + units.get(name, "")


def _details(result: Prediction, spec: ModelSpec) -> str:
    rows = {
        "Picture": shown(result.source),
        "Model": f"{result.model}, {spec.fusion}, {spec.precision}",
        "SHA-256": result.model_sha256,
        "Weights": spec.weights_sha256[:16],
        "Trained on": f"{spec.training.get('data', '')}, protocol {spec.training.get('protocol', '')}",
        "Device": f"{result.device} ({result.provider}, {result.provider_version}), {result.hardware}",
        "dermedge": result.versions.get("dermedge", ""),
        "Time (UTC)": result.time,
        "Licence": spec.licence,
    }
    cells = "".join(f"<tr><td>{escape(key)}</td><td>{escape(str(value))}</td></tr>" for key, value in rows.items())
    return f'<table class="details">{cells}</table>'
