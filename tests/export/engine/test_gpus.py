"""Which cards an engine can be built for, and how the others are refused."""

import pytest

from dermedge_export.engine.gpus import BUILDABLE, CARDS, compute_capabilities
from dermedge_export.engine.target import EngineTarget, engine_target
from dermedge_runtime.errors import UsageError


@pytest.mark.parametrize(
    ("card", "capability"),
    [
        ("rtx3090", "8.6"),
        ("RTX A2000", "8.6"),
        ("NVIDIA GeForce RTX 4060 Ti", "8.9"),
        ("rtx-4070-laptop-gpu", "8.9"),
        ("RTX 6000 Ada Generation", "8.9"),
        ("RTX_5090", "12.0"),
        ("RTX PRO 6000", "12.0"),
    ],
)
def test_cards_by_the_name_on_the_box(card: str, capability: str) -> None:
    assert compute_capabilities([card], []) == (capability,)


def test_every_card_is_found_by_its_own_name() -> None:
    buildable = {card: capability for card, capability in CARDS.items() if capability in BUILDABLE}
    assert set(buildable.values()) == set(BUILDABLE)
    for card, capability in buildable.items():
        assert compute_capabilities([card.upper()], []) == (capability,)


def test_cards_and_numbers_together_once_and_in_order() -> None:
    assert compute_capabilities(["rtx5070", "rtx4060", "rtx4090"], ["8.6", "8.9"]) == ("8.6", "8.9", "12.0")
    assert compute_capabilities([], ["sm_120", "89"]) == ("8.9", "12.0")
    assert compute_capabilities([], []) == ()


@pytest.mark.parametrize(
    ("gpus", "given", "words"),
    [
        (["rtx4061"], [], ["rtx4061", "rtx3050", "Did you mean rtx406", "--compute-capability"]),
        ([""], [], ["Unknown card ''"]),
        (["RTX 2080 Ti"], [], ["RTX 2080 Ti (compute capability 7.5)", "Turing", "FP32", "8.6 (Ampere)"]),
        ([], ["7.5"], ["compute capability 7.5:", "Turing"]),
        (["H200"], [], ["H200 (compute capability 9.0)", "data-centre"]),
        ([], ["sm90"], ["compute capability 9.0:", "Hopper"]),
        ([], ["8.0"], ["compute capability 8.0;", "12.0 (Blackwell)"]),
        ([], ["fast"], ["compute capability fast;"]),
    ],
)
def test_refused_cards(gpus: list[str], given: list[str], words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        compute_capabilities(gpus, given)
    for word in words:
        assert word in str(caught.value)


def test_target_of_the_options() -> None:
    assert engine_target("fp16", "cpu", engine=False) is None
    assert engine_target("fp16", "cpu", engine=True) == EngineTarget((), 32)
    assert engine_target("int8", "rtx", engine=True, gpus="rtx4060, rtx3060", max_batch=4) == EngineTarget(
        ("8.6", "8.9"), 4
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int8", "flavour": "cpu", "engine": True}, ["uint8", "--target rtx"]),
        ({"engine": False, "gpus": "rtx4060"}, ["--gpu describes an engine: add --engine"]),
        ({"engine": False, "capabilities": "8.9", "max_batch": 8}, ["--compute-capability and --max-batch describe"]),
    ],
)
def test_contradicting_options(options: dict, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        engine_target(**{"precision": "fp32", "flavour": "cpu", **options})
    for word in words:
        assert word in str(caught.value)
