from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from dermedge.data.ham10000 import SITES
from dermedge.training import predictions as evaluate
from dermedge.training.predictions import labels_of, runtime_probabilities, torch_probabilities, trained_model
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run
from dermedge_runtime import Rejection
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField
from dermedge_runtime.inputs.image import load_image
from dermedge_runtime.model.description import ImageSpec


def test_the_trained_model_has_the_best_weights_in_evaluation_mode(trained_run):
    model = trained_model(trained_run)
    assert not any(module.training for module in model.modules())
    weights = load_file(trained_run.weights_file)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


@torch.no_grad()
def test_torch_probabilities_equal_a_direct_forward_of_each_picture(trained_run, samples):
    chosen = [samples[i] for i in (5, 0, 17)]
    probabilities = torch_probabilities(trained_run, chosen)
    assert probabilities.dtype == np.float32 and probabilities.shape == (3, 7)
    model = trained_model(trained_run)
    for row, sample in zip(probabilities, chosen, strict=True):
        with Image.open(sample.path) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
        image = torch.tensor(pixels.transpose(2, 0, 1)[None] / 255, dtype=torch.float32)
        known = sample.clinical
        sex = ("female", "male").index(known["sex"]) if "sex" in known else -1
        site = SITES.index(known["site"]) if "site" in known else -1
        logits = model(image, torch.tensor([[known.get("age", torch.nan)]]), torch.tensor([[sex, site]]).int())
        np.testing.assert_allclose(row, torch.softmax(logits, dim=1)[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_labels_keep_the_order_of_the_samples(samples):
    assert labels_of(samples[::-1]).tolist() == [sample.label for sample in samples[::-1]]


def test_a_run_without_weights_is_an_error(trained_run, tmp_path):
    run = start_run(trained_run.config, trained_run.split, RunFolder(tmp_path / "fresh"))
    with pytest.raises(DermedgeError, match="has no weights yet"):
        trained_model(run)


class Recorder:
    """In the place of a runtime Classifier: notes what it is asked, answers with the number of the question."""

    name = "model.onnx"

    def __init__(self, image: object, reject: int | None = None) -> None:
        clinical = ClinicalSchema(
            (NumericField("age", "years", 0, 120),), (CategoricalField("sex", ("female", "male")),)
        )
        self.spec = SimpleNamespace(clinical=clinical, image=image, classes=("a", "b"))
        self.reject, self.images, self.patients = reject, [], []

    def predict_many(self, images, clinical, batch_size):
        assert len(images) == len(clinical) <= batch_size
        for picture, patient in zip(images, clinical, strict=True):
            number = len(self.images)
            self.images.append(picture)
            self.patients.append(patient)
            rejected = number == self.reject
            yield (
                Rejection("x", "no picture")
                if rejected
                else SimpleNamespace(
                    probabilities={"a": number / 100, "b": 1 - number / 100},
                    **dict.fromkeys(("prediction_set", "decision", "ood_score")),
                )
            )


def test_the_runtime_gets_every_file_in_order_with_the_models_fields_alone(samples):
    recorder = Recorder(image=object())
    probabilities = runtime_probabilities(recorder, samples)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities[:, 0], np.arange(len(samples)) / 100, rtol=1e-6)
    assert recorder.images == [sample.path for sample in samples]
    assert recorder.patients == [{k: v for k, v in s.clinical.items() if k in ("age", "sex")} for s in samples]


def test_a_model_that_reads_no_picture_gets_none(samples):
    recorder = Recorder(image=None)
    runtime_probabilities(recorder, samples[:20])
    assert recorder.images == [None] * 20


def test_a_rejected_picture_stops_the_evaluation(samples):
    with pytest.raises(InputRejected, match="no picture"):
        runtime_probabilities(Recorder(image=object(), reject=18), samples)


def test_with_flips_the_runtime_gets_every_picture_four_times_and_the_mean_counts(samples):
    recorder = Recorder(image=ImageSpec(32, "bilinear"))
    probabilities = runtime_probabilities(recorder, samples[:2], flips=True)
    pixels = [load_image(sample.path, 32) for sample in samples[:2]]
    views = [view(p) for view in (np.array, np.fliplr, np.flipud, lambda p: np.rot90(p, 2)) for p in pixels]
    for seen, expected in zip(recorder.images, views, strict=True):
        np.testing.assert_array_equal(seen, expected)
    np.testing.assert_allclose(probabilities[:, 0], [0.03, 0.04], rtol=1e-6)  # 0, 2, 4, 6 and 1, 3, 5, 7 hundredths
    assert len(recorder.patients) == 8


def test_with_flips_torch_gives_the_mean_of_four_predictions(trained_run, samples, monkeypatch):
    def logits_of_corner(model, data, device):
        return torch.from_numpy(data.pixels[:, 0, 0].astype(np.float32)) / 20

    monkeypatch.setattr(evaluate, "predict_logits", logits_of_corner)
    chosen = samples[:5]
    pixels = np.stack([load_image(sample.path, 32) for sample in chosen])
    corners = [torch.from_numpy(pixels[:, y, x].astype(np.float32)) / 20 for y in (0, -1) for x in (0, -1)]
    expected = torch.stack([torch.softmax(corner, dim=1) for corner in corners])
    assert np.ptp(expected, axis=0).min() > 0.001, "the views differ"
    found = torch_probabilities(trained_run, chosen, flips=True)
    np.testing.assert_allclose(found, expected.mean(dim=0), atol=1e-6)
    np.testing.assert_allclose(torch_probabilities(trained_run, chosen), expected[0], atol=1e-6)
