"""The commands of the workshop: their options, and what stands behind them; imported by the command line alone."""

SUMMARIES = {
    "train": "Train one fusion; the defaults are the paper's settings.",
    "branches": "List the networks that can read the picture: what they cost, where their weights are.",
    "recipes": "List the systems of the literature: what was published, what is built here, what we measured.",
    "ensemble": "Make one run of finished runs: its probabilities are the mean of theirs.",
    "synthesise": "Make pictures of rare classes by a generator, to train on beside photographs.",
    "prior-shift": "Shift the class priors of a trained run, without training it again.",
    "evaluate": "Evaluate the trained weights and every model file made from them.",
    "export": "Write one self-describing ONNX file, after comparing it with the trained weights.",
    "calibrate": "Calibrate a model file: its probabilities, its prediction sets and its decision.",
    "explain": "Explain test images of a run: heat maps, clinical relevance, agreement with masks.",
    "compare": "Compare the fusions as the paper's tables 6 and 7 do, and write one page.",
    "card": "Measure a model file on its run's test split and write its card.",
    "demo": "Do the whole main job on generated pictures: train, evaluate, export, infer, bench.",
}
"""One line for every command, here because the list of commands needs none of their packages."""
