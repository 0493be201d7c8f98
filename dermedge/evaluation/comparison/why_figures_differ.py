"""What a comparison says in words: why its figures are not the paper's, and how they were measured."""

from __future__ import annotations

from html import escape

from .summary import Record


def missing_lines(record: Record, protocol: str) -> list[str]:
    """Say what was asked for and is not there, or only begun: one line for all rows of which the same is missing."""
    alike: dict[tuple[str, tuple[int, ...], tuple[int, ...]], list[str]] = {}
    for row in record["rows"]:
        begun = tuple(row["begun_seeds"])
        absent = tuple(seed for seed in row["missing_seeds"] if seed not in begun)
        if row["protocol"] == protocol and (begun or absent):
            alike.setdefault((row["image_branch"], begun, absent), []).append(row["fusion"])
    lines = []
    for (branch, begun, absent), fusions in alike.items():
        said = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} {state}"
                for seeds, state in ((begun, "begun"), (absent, "missing")) if seeds]  # fmt: skip
        lines.append(f"image branch {branch}: {'; '.join(said)}: {', '.join(fusions)}")
    return lines


def why_they_differ(record: Record) -> list[str]:
    """Reasons, each a sentence or two; what can be counted is counted from the results."""
    return [
        f"<b>A random split of the images leaks.</b> HAM10000 shows many lesions more than once. {_leaks(record)}"
        " The paper splits the images at random (section 3.2.1); a network then meets in the test lesions that it has"
        " learned by heart. Protocol <i>grouped</i> keeps all photographs of a lesion on one side.",
        "<b>The way of diagnosis gives the answer away.</b> The paper feeds the network <code>dx_type</code> (tables 3"
        " and 8): how the diagnosis was confirmed. In HAM10000 every <code>follow_up</code> is a nevus, every"
        " <code>confocal</code> a benign keratosis, and every malignant lesion <code>histo</code>. It is not known"
        " before the diagnosis. Protocol <i>paper</i> feeds it too; <i>grouped</i> does not.",
        "<b>The paper has no validation set.</b> Its text splits 70/30 and says so; nothing tells which of the 100"
        " epochs was reported, nor whether the test images chose it. Here <i>grouped</i> keeps the epoch that is best"
        " on a validation split, and <i>paper</i>, which has none, the one with the lowest training loss.",
        "<b>The paper contradicts itself about balancing.</b> Its text balances the training split alone, after the"
        " split; its figure 1 balances first and splits 70/15/15 afterwards, in which case copies of one photograph lie"
        " in training and test. Which of the two gave the printed figures cannot be told. Here no copy is ever tested.",
        "<b>The fusions are not all the printed ones.</b> Equation 13 as printed ignores the image (a softmax over one"
        " key is 1), and equation 12 over one token is a linear map; here both vectors are cut into tokens.",
        "<b>One training, no spread.</b> The paper gives one figure per model, to hundredths of a percent, without"
        " seeds or intervals, and does not say how it averages precision, recall and F1 over the classes. Here they are"
        " macro means: every class counts alike, however rare. Macro recall is the balanced accuracy.",
        "<b>Settings.</b> The paper trains 100 epochs at 256 px with 6,000 draws per class. What was done here stands"
        " under “Settings”; fewer epochs and smaller pictures cost accuracy.",
    ]


def how_measured(record: Record) -> list[str]:
    """How the figures came about."""
    bootstrap, latency = record["bootstrap"], record["latency"]
    said = [
        "<b>Image branch.</b> <i>own</i>: trained end to end with its fusion, as in the paper. <i>shared</i>: the image"
        " branch of <code>image_only</code> of the same protocol and seed, frozen; only clinical branch, fusion and"
        f" classifier are trained, on its 512 pooled features of every training photograph{_views(record)}. A frozen"
        " branch has seen the training photographs before and is surer of them than of new ones, so a shared row"
        " probably gains less from the clinical values than it could. <i>none</i>: reads no image.",
        "<b>Seeds.</b> The seed of a run is also the seed of its split: the spread holds both the luck of the split and"
        " of the training. Figures are means ± sample standard deviations over the seeds.",
        "<b>Test figures</b> are those of the trained weights in torch, float32, on the CPU, on every test photograph"
        " once, without test-time augmentation. AUC is one against the rest, macro.",
        "<b>Difference to the images alone.</b> Own rows are compared with <code>image_only</code>, shared rows with"
        " <code>image_only</code> trained again as a head on the same features (the row <i>shared</i>), and that row"
        f" with the whole <code>image_only</code>. Paired bootstrap, {bootstrap['replicates']:,} replicates that draw"
        " lesions, not photographs; a lesion is counted as often in the test splits of all seeds. The interval takes"
        " the trained weights as they are, and is not corrected for the number of rows.",
        "<b>INT8</b> files are exported from the lowest seed through the usual gate: compared with the trained weights"
        " on validation photographs (on training photographs that calibrated nothing, where there is no validation"
        " split). One over the limits is refused, and has neither size nor latency.",
    ]
    if latency:
        machine = latency["machine"]
        said.append(
            f"<b>Latency</b>: median of the network alone (explanations included) at batch 1, all files in turn within"
            f" one run, {escape(str(machine['cpu']))}, {machine['cpus']} of {machine['of']} CPUs,"
            f" onnxruntime {escape(str(latency['versions'].get('onnxruntime')))}, {escape(str(latency['date']))}."
        )
    return said


def _views(record: Record) -> str:
    views = sorted({row["views"] for row in record["rows"] if row["views"] is not None})
    return f" and of {', '.join(map(str, views))} augmented copies of it" if views else ""


def _leaks(record: Record) -> str:
    said = []
    for protocol, by_seed in record["leaks"].items():
        leaks, images = (sum(each[name] for each in by_seed.values()) for name in ("leaks", "test_images"))
        if images:
            said.append(f"{100 * leaks / images:.1f} % ({leaks:,} of {images:,}) under <i>{escape(protocol)}</i>")
    if not said:
        return ""
    return f"Test photographs with a sibling in training here, over all seeds: {', '.join(said)}."
