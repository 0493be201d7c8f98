"""The decision from one answer: sets, refer before unsure before routine, and every reason."""

from dataclasses import replace

import pytest

from dermedge_runtime.decision import DecisionRule, decide

NAMES = {"mel": "melanoma", "bcc": "carcinoma", "nv": "nevus", "bkl": "keratosis", "df": "fibroma"}
RULE = DecisionRule(
    set_thresholds={"mel": 0.1, "bcc": 0.1, "nv": 0.3, "bkl": 0.1, "df": 0.1},
    coverage=0.9,
    urgent=("mel", "bcc"),
    urgent_threshold=0.3,
    melanoma="mel",
    melanoma_threshold=0.2,
    sensitivity=0.95,
)


def answer(**given: float) -> dict[str, float]:
    return dict.fromkeys(NAMES, 0.0) | given


def test_a_harmless_answer_is_routine_and_says_how_far_the_urgent_ones_are():
    found = decide(RULE, answer(nv=0.95, mel=0.05), NAMES)
    assert (found.verdict, found.prediction_set) == ("routine", ("nv",))
    assert found.reasons == ("urgent diagnoses together have 5.0 %, below the 30 % to refer",)


def test_urgent_classes_are_summed():
    found = decide(RULE, answer(nv=0.69, mel=0.15, bcc=0.16), NAMES)
    assert found.verdict == "refer"
    assert found.reasons[0] == "urgent diagnoses together have 31 %, from 30 % on we refer"


def test_melanoma_is_referred_by_its_own_threshold_too():
    found = decide(RULE, answer(nv=0.8, mel=0.2), NAMES)
    assert found.verdict == "refer" and found.reasons[0] == "melanoma has 20 %, from 20 % on we refer"


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        ({"nv": 0.95, "mel": 0.05}, {"ood_score": 1.4}, "1.4 times the limit"),
        ({"nv": 0.95, "mel": 0.05}, {"faults": ("the picture is nearly uniform",)}, "nearly uniform"),
        ({"nv": 0.85, "mel": 0.15}, {}, "cannot be told apart: nevus, melanoma"),
        ({"nv": 0.6, "bkl": 0.15, "df": 0.13, "mel": 0.12}, {}, "4 diagnoses cannot be ruled out"),
    ],
)
def test_what_nobody_should_trust_is_unsure(given, more, said):
    found = decide(RULE, answer(**given), NAMES, **more)
    assert found.verdict == "unsure" and said in found.reasons[0]


def test_refer_wins_over_unsure_and_keeps_its_reasons():
    found = decide(RULE, answer(nv=0.5, mel=0.5), NAMES, ood_score=2.0, faults=("the picture is blurred",))
    assert found.verdict == "refer" and len(found.reasons) == 5
    assert found.reasons[2:4] == (
        "the picture is blurred",
        "the picture is unlike those that the model learned from (2.0 times the limit)",
    )


def test_a_score_at_the_limit_is_familiar():
    assert decide(RULE, answer(nv=1.0), NAMES, ood_score=1.0).verdict == "routine"


def test_a_set_is_never_empty():
    assert RULE.prediction_set(answer(nv=0.29)) == ("nv",)


def test_without_urgent_classes_there_are_sets_alone():
    rule = replace(RULE, urgent=(), sensitivity=0.0)
    found = decide(rule, answer(nv=0.5, mel=0.5), NAMES)
    assert (found.prediction_set, found.verdict, found.reasons) == (("mel", "nv"), None, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"urgent": ("mole",)},
        {"melanoma": "mole"},
        {"marginal": ("mole",)},
        {"set_thresholds": {"mel": 0.1}},
        {"urgent_threshold": float("nan")},
        {"melanoma_threshold": 1.5},
        {"coverage": 1.0},
        {"sensitivity": 0.0},
        {"urgent": ()},
    ],
)
def test_an_impossible_rule_is_refused(wrong):
    with pytest.raises(ValueError, match="decision"):
        replace(RULE, **wrong).check(tuple(NAMES))
    RULE.check(tuple(NAMES))
