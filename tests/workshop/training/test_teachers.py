"""Distillation: the loss is the published one, teachers see what the student sees, a student learns from them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

import dermedge
from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.batches.mixing import Mixed
from dermedge.data.ham10000 import HAM10000
from dermedge.data.schema_file import schema_from_record
from dermedge.training.checkpoint import read_tensors, save_weights
from dermedge.training.logits import predict_logits
from dermedge.training.run import Run
from dermedge.training.teachers import Teacher, Teachers, teacher_records, teachers_of
from dermedge.training.train import Trainer, start_run, train
from dermedge_export import description
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError

TINY = {"image_size": 32, "epochs": 1, "per_class": 4, "batch_size": 14, "device": "cpu", "precision": "fp32"}
VALUES = {**TINY, "fusion": "clinical_only", "batch_size": 28}


def taught(data, folder, teachers, **settings) -> Run:
    return dermedge.train(data, run=folder, teachers=teachers, **{**VALUES, **settings})


@pytest.fixture
def teacher(synthetic_data, tmp_path) -> Run:
    """It reads clinical values alone, which takes no time; its weights hold a shift that nobody is to learn."""
    settings = {**VALUES, "epochs": 4, "learning_rate": 0.01}
    return dermedge.train(synthetic_data, run=tmp_path / "teacher", seed=0, prior_shift=1.0, **settings)


def logits_of(run: Run, samples) -> np.ndarray:
    data = LesionData.load(samples, run.schema.clinical("grouped"), run.config)
    model = teachers_model(run)
    return predict_logits(model, data, torch.device("cpu")).numpy()


def teachers_model(run: Run):
    records = [{"path": str(run.path), "sha256": run.weights_sha256}]
    config = replace(run.config, teachers=[run.weights_sha256])
    pupil = replace(run, record={**run.record, "teachers": records}, config=config)
    return teachers_of(pupil, torch.device("cpu")).of[0].network


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def test_the_loss_is_the_published_formula():
    rng = np.random.default_rng(0)
    student, answer, labels = rng.normal(size=(5, 3)), softmax(rng.normal(size=(5, 3))), rng.integers(0, 3, 5)
    hard = -np.log(softmax(student)[np.arange(5), labels]).mean()
    apart = (answer * (np.log(answer) - np.log(softmax(student / 4)))).sum(axis=1).mean()
    teachers = Teachers((), 4.0, 0.3, tell_values=True)
    on_labels = functional.cross_entropy(torch.from_numpy(student), torch.from_numpy(labels))
    found = teachers.loss(on_labels, torch.from_numpy(student), torch.from_numpy(answer))
    assert float(found) == pytest.approx(0.7 * hard + 0.3 * 16 * apart, rel=1e-12)


def test_several_teachers_answer_with_the_mean_of_their_softened_probabilities():
    class Says(torch.nn.Module):
        trunk = None

        def __init__(self, *logits: float) -> None:
            super().__init__()
            self.logits = torch.tensor([logits])

        def encode(self, numeric, categorical):
            return None

        def score(self, picture, clinical):
            return self.logits

    of = tuple(Teacher(Says(*each), 32) for each in ((0.0, 2.0), (4.0, 0.0)))
    answer = Teachers(of, 2.0, 1.0, tell_values=True).answer(Mixed(None, None), torch.zeros(1, 1), torch.zeros(1, 1))
    expected = (softmax(np.array([[0.0, 1.0]])) + softmax(np.array([[2.0, 0.0]]))) / 2
    np.testing.assert_allclose(answer.numpy(), expected, rtol=1e-6)


def test_a_teacher_is_shown_the_mixed_picture_at_its_own_size_and_the_mixed_values(new_run, samples):
    config, run = new_run(fusion="concat", image_size=48)
    trainer = Trainer(config, samples, run)
    network = trainer.model.eval()
    picture, partner = torch.rand(3, 3, 32, 32), torch.tensor([1, 2, 0])
    numeric, categorical = torch.tensor([[30.0], [50.0], [torch.nan]]), torch.zeros(3, 2, dtype=torch.int32)
    found = Teacher(network, 48).logits(Mixed(picture, None, partner, 0.25), numeric, categorical)
    encoded = network.encode(numeric, categorical)
    larger = functional.interpolate(picture, (48, 48), mode="bilinear", align_corners=False)
    expected = network.score(larger, 0.25 * encoded + 0.75 * encoded[partner])
    torch.testing.assert_close(found, expected)
    blind = Teachers((Teacher(network, 48),), 1.0, 1.0, tell_values=False)
    told = [blind.answer(Mixed(picture, None), ages, categorical) for ages in (numeric, numeric + 9)]
    assert torch.equal(*told), "a student that reads no values has teachers that are told none"


def test_a_student_learns_what_its_teacher_answers(teacher, synthetic_data, samples, tmp_path):
    def apart(run: Run) -> float:
        given, theirs = (softmax(logits_of(each, samples)) for each in (teacher, run))
        return float((given * np.log(given / theirs)).sum(axis=1).mean())

    longer = {"epochs": 12, "learning_rate": 0.01, "seed": 0}
    distilled = taught(synthetic_data, tmp_path / "distilled", teacher, teacher_weight=1.0, **longer)
    alone = dermedge.train(synthetic_data, run=tmp_path / "alone", **{**VALUES, **longer})
    assert apart(distilled) < 0.3 * apart(alone)
    (record,) = Run.open(distilled.path).record["teachers"]
    assert (record["path"], record["sha256"]) == (str(teacher.path.resolve()), teacher.weights_sha256)
    assert distilled.config.teachers == [teacher.weights_sha256]
    (named,) = description.describe(distilled, "fp32").training["teachers"]
    assert (named["name"], named["sha256"]) == ("teacher", teacher.weights_sha256) and "path" not in named


def test_a_taught_run_of_pictures_is_resumed_to_the_very_same_weights(new_run, samples, synthetic_data, tmp_path):
    config, teacher = new_run(epochs=1, image_size=48)
    train(config, samples, teacher)
    settings = {"mixup": 0.3, "hide_clinical": 0.3, "ema": 0.9, "precision": "bf16", "fusion": "concat"}
    config, whole = new_run(**settings)
    records = teacher_records([teacher.path], config, HAM10000, whole.split, samples)
    config = replace(config, teachers=[records[0]["sha256"]])
    ends = []
    for name in ("whole", "stopped"):
        run = start_run(config, whole.split, type(whole).__base__(tmp_path / name), extra={"teachers": records})
        if name == "stopped":
            Trainer(config, samples, run).run_epoch(0)
        train(config, samples, run)
        ends.append(run.checkpoint_file)
    one, other = map(read_tensors, ends)
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    untaught = Trainer(replace(config, teachers=[]), samples, whole)
    untaught.run_epoch(0)
    untaught.run_epoch(1)
    assert not torch.equal(
        untaught.model.state_dict()["head.classifier.0.weight"], one["model.head.classifier.0.weight"]
    )


def test_a_teacher_that_was_changed_or_is_gone_stops_a_resumed_training(teacher, synthetic_data, tmp_path):
    run = taught(synthetic_data, tmp_path / "run", teacher)
    with pytest.raises(UsageError, match=r"other settings: teachers .* -> "):
        dermedge.resume(run, teachers=taught(synthetic_data, tmp_path / "other", teacher))
    dermedge.resume(run, teachers=teacher)
    save_weights(teacher.weights_file, {**read_tensors(teacher.weights_file), "prior_shift": torch.ones(7)})
    with pytest.raises(DermedgeError, match=r"has other weights than when the run in .* began"):
        dermedge.resume(run)
    teacher.config_file.unlink()
    with pytest.raises(DermedgeError, match="no training run in"):
        dermedge.resume(run)


def test_what_cannot_teach_is_refused_before_anything_is_written(teacher, synthetic_data, tmp_path):
    folder = tmp_path / "refused"

    def refused(kind, words, teachers=teacher, **settings):
        with pytest.raises(kind, match=words) as found:
            taught(synthetic_data, folder, teachers, **settings)
        assert found.type is kind and not folder.exists()

    refused(DermedgeError, "no training run in", teachers=[tmp_path / "nothing"])
    refused(UsageError, "names the same weights twice", teachers=[teacher, teacher.path])
    refused(InputRejected, "Take a teacher with the same --seed", seed=3)
    refused(UsageError, "--freeze-image-branch trains on features", freeze_image_branch=True)
    refused(UsageError, "other clinical fields .* protocol grouped; here HAM10000, paper", protocol="paper")
    with pytest.raises(UsageError, match="cannot teach the run that takes its place"):
        taught(synthetic_data, teacher.path, teacher, overwrite=True)
    with pytest.raises(UsageError, match="--teacher-weight is about --teacher"):
        dermedge.train(synthetic_data, run=folder, teacher_weight=0.3, **VALUES)
    with pytest.raises(UsageError, match="name those runs with teachers"):
        dermedge.train(synthetic_data, run=folder, config=replace(teacher.config, teachers=["0" * 64]))
    teacher.weights_file.write_bytes(b"damaged")
    refused(DermedgeError, "cannot be loaded")
    teacher.weights_file.unlink()
    refused(DermedgeError, "has no weights yet")


def test_another_question_is_refused(teacher, new_run, samples):
    config, run = teacher.config, teacher
    other = json.loads(json.dumps(dict(HAM10000.record)))
    other["classes"] = dict(reversed(other["classes"].items()))
    with pytest.raises(UsageError, match="Take a teacher with the same classes in the same order"):
        teacher_records([run.path], config, schema_from_record(other, "x"), run.split)
    config, pictures = new_run(epochs=1)
    train(config, samples, pictures)
    values = replace(config, fusion="clinical_only")
    with pytest.raises(UsageError, match="reads pictures, and clinical_only has none"):
        teacher_records([pictures.path], values, HAM10000, pictures.split)
    for change in ({"resample": "bicubic"}, {"hair_removal": True}):
        with pytest.raises(UsageError, match=f"was trained with {next(iter(change))} .* Train both alike"):
            teacher_records([pictures.path], replace(config, **change), HAM10000, pictures.split)
