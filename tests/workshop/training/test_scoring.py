import pytest
import torch

from dermedge.asked_settings import AskedSettings
from dermedge.models.classifier import FusedClassifier
from dermedge.training import scoring
from dermedge.training.processes import ALONE
from dermedge.training.scoring import compile_score, training_score
from dermedge.training.train import Trainer, train
from dermedge.training.training_job import Expected, resume_training
from dermedge_runtime.errors import DermedgeError, UsageError


@pytest.fixture
def eager(monkeypatch) -> list[torch.nn.Module]:
    """Compile with the backend that only traces, and count the graphs that it is given."""
    graphs: list[torch.nn.Module] = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(scoring, "compile_score", lambda score: compile_score(score, backend))
    yield graphs
    torch.compiler.reset()


def test_without_compiling_it_is_the_networks_own_scoring(new_run, samples):
    config, run = new_run()
    trainer = Trainer(config, samples, run)
    assert trainer.score == trainer.model.score
    assert training_score(trainer.model, ALONE) == trainer.model.score


def test_a_compiled_training_learns_the_same_and_keeps_the_names_of_the_weights(new_run, samples, eager):
    config, plain = new_run(epochs=1)
    expected = train(config, samples, plain)
    _, run = new_run(epochs=1)
    trainer = Trainer(config, samples, run, compiled=True)
    row = trainer.run_epoch(0)
    assert eager, "nothing was compiled"
    assert row["train_loss"] == pytest.approx(expected[0]["train_loss"], rel=1e-5)
    assert type(trainer.model) is FusedClassifier
    assert train(config, samples, run) == trainer.history, "read back by an uncompiled training"


def test_where_compiling_fails_one_sentence_says_so():
    def broken(graph, inputs):
        raise RuntimeError("no compiler here")

    score = compile_score(lambda image, clinical: image * 2, broken)
    with pytest.raises(DermedgeError, match=r"cannot be compiled here \(.*Train without --compile") as caught:
        score(torch.ones(2), None)
    assert caught.value.exit_code == 1
    torch.compiler.reset()


def test_compiling_is_no_setting_and_never_stands_in_the_way_of_a_resume(new_run, samples):
    config, run = new_run(fusion="clinical_only")
    train(config, samples, run)
    assert resume_training(run.path, Expected(AskedSettings.of(None, {"epochs": 2})), compiled=True).config == config
    with pytest.raises(UsageError, match="epochs 2 -> 3"):
        resume_training(run.path, Expected(AskedSettings.of(None, {"epochs": 3})), compiled=True)
