"""One self-contained HTML page about one prediction: picture, heat map, probabilities, relevance, and what made it.

No script, no link, nothing loaded from elsewhere: it can be mailed, archived and opened without a network.
"""

from __future__ import annotations

import base64
import datetime
import io
from collections.abc import Mapping
from html import escape
from typing import Any

from PIL import Image

from dermedge import __version__
from dermedge.tables import SHOWN_FROM
from dermedge_runtime.image import upright_rgb
from dermedge_runtime.prediction import Prediction
from dermedge_runtime.spec import ModelSpec

_LARGEST = 1200
"""Pixels of the longer side of the pictures in the page."""

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1e; background: #fff; margin: 0 auto; max-width: 62rem;
  padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.notice { background: #fff4d6; border-left: 4px solid #d49b00; padding: .6rem 1rem; margin: 1rem 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 20rem; }
img { max-width: 100%; height: auto; border-radius: 4px; } figcaption { color: #555; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; } td { padding: .15rem .5rem .15rem 0; vertical-align: middle; }
td.value { text-align: right; font-variant-numeric: tabular-nums; width: 5rem; } td.bar { width: 45%; }
.bar div { background: #3b6ea8; height: .8rem; border-radius: 2px; } tr.first { font-weight: 600; }
.details td:first-child { white-space: nowrap; padding-right: 1.5rem; } .details td { border-top: 1px solid #e4e4e7; }
"""


def html_report(result: Prediction, spec: ModelSpec, clinical: Mapping[str, Any]) -> str:
    """Make the page.

    :param clinical: the patient's values as they were given; what is absent is shown as unknown.
    """
    name = spec.class_names.get(result.label, result.label)
    use = spec.intended_use.removeprefix("Research use only.")
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(name)} - dermedge</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(name)} <small>({result.probabilities[result.label]:.1%})</small></h1>",
        f'<p class="notice"><strong>Research use only.</strong>{escape(use)}</p>',
        _pictures(result, spec),
        "<h2>Probabilities</h2>",
        _bars({f"{spec.class_names.get(c, c)} ({c})": v for c, v in result.probabilities.items()}, percent=True),
    ]
    if result.relevance_by_field and result.relevance and result.explanation is not None:
        chosen = spec.class_names.get(result.explanation.target, result.explanation.target)
        parts += [
            f"<h2>What the clinical values contributed to “{escape(chosen)}”</h2>",
            "<p>Integrated gradients, absolute values scaled to [0, 1]."
            " A value that was unknown is explained as the one it was imputed with.</p>",
            _bars({key: value for key, value in result.relevance.items() if value >= SHOWN_FROM}),
            "<p>Summed over the features of each field:</p>",
            _bars(result.relevance_by_field),
        ]
    parts += ["<h2>Input and model</h2>", _details(result, spec, clinical), "</body></html>"]
    return "\n".join(parts) + "\n"


def _pictures(result: Prediction, spec: ModelSpec) -> str:
    if result.picture is None:
        return ""
    figures = [_figure(upright_rgb(result.picture, _LARGEST), "The picture as it was given, upright.")]
    if result.has_heatmap and result.explanation is not None:
        chosen = spec.class_names.get(result.explanation.target, result.explanation.target)
        figures.append(_figure(result.overlay(), f"Grad-CAM: bright regions spoke for “{chosen}”."))
    return f'<div class="pictures">{"".join(figures)}</div>'


def _figure(image: Image.Image, caption: str) -> str:
    image = image.copy()
    image.thumbnail((_LARGEST, _LARGEST))
    encoded = io.BytesIO()
    image.save(encoded, format="JPEG", quality=90)
    data = base64.b64encode(encoded.getvalue()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/jpeg;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _bars(values: Mapping[str, float], *, percent: bool = False) -> str:
    largest = 1.0 if percent else max([1.0, *values.values()])
    rows = []
    for index, (name, value) in enumerate(sorted(values.items(), key=lambda item: -item[1])):
        text = f"{value:.1%}" if percent else f"{value:.2f}"
        first = ' class="first"' if index == 0 else ""
        bar = f'<td class="bar"><div style="width:{100 * value / largest:.1f}%"></div></td>'
        rows.append(f'<tr{first}><td>{escape(name)}</td>{bar}<td class="value">{text}</td></tr>')
    return f"<table>{''.join(rows)}</table>"


def _details(result: Prediction, spec: ModelSpec, clinical: Mapping[str, Any]) -> str:
    units = {field.name: f" {field.unit}" for field in spec.clinical.numeric}
    values = {}
    for name in spec.clinical.names:
        given = clinical.get(name)
        values[name] = (
            "unknown"
            if given is None
            else f"{given:g}{units.get(name, '')}"
            if isinstance(given, float)
            else str(given)
        )
    rows = {
        "Picture": result.source,
        **values,
        "Model": f"{result.model}, {spec.fusion}, {spec.precision}",
        "Weights": spec.weights_sha256[:16],
        "Trained on": f"{spec.training.get('data', '')}, protocol {spec.training.get('protocol', '')}",
        "Device": f"{result.device} ({result.provider}, {result.provider_version}), {result.hardware}",
        "dermedge": __version__,
        "Date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "Licence": spec.licence,
    }
    cells = "".join(f"<tr><td>{escape(key)}</td><td>{escape(str(value))}</td></tr>" for key, value in rows.items())
    return f'<table class="details">{cells}</table>'
