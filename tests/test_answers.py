"""Sentences say what the numbers say: in both directions, and where two are not told apart."""

from types import SimpleNamespace

import numpy as np
import pytest

from difffeat.evidence import answers, claims
from difffeat.evidence.results import Result
from difffeat.evidence.shapes import Contradiction
from difffeat.probing.floors import Floor
from difffeat.probing.stats import Measured

NOISE = np.linspace(-1, 1, 201)  # the same images for all: 95 % of it lie within 0.95


def number(value, spread=0.0):
    """A number whose draws spread evenly around it."""
    return Measured(value, value + spread * NOISE)


FLOORS = [
    Floor("raw pixels", number(0.20, 0.02)),
    Floor("bag of words", number(0.61, 0.02)),
    Floor("clean input", number(0.505, 0.02)),
]


def test_a_number_beside_others_that_are_below_above_and_as_good():
    """0.04 of a spread is shared less 0.02: the differences spread by 0.02, 95 % of them by 0.019."""
    said = answers.beside("the best image feature", number(0.50, 0.04), FLOORS)
    assert said == (
        "The best image feature reaches 50.0%: 30.0 points (28.1 to 31.9) above raw pixels (20.0%); "
        "not told apart (-2.4 to +1.4 points) from clean input (50.5%); "
        "11.0 points (9.1 to 12.9) below bag of words (61.0%)."
    )


def test_the_same_numbers_the_other_way_round():
    ours = Floor("the feature", number(0.50, 0.04))
    assert answers.beside("raw pixels", number(0.20, 0.02), [ours]) == (
        "Raw pixels reaches 20.0%: 30.0 points (28.1 to 31.9) below the feature (50.0%)."
    )
    assert "11.0 points (9.1 to 12.9) above the feature" in answers.beside(
        "words", FLOORS[1].measured, [ours]
    )


def test_an_interval_of_a_difference_that_holds_0_is_neither_above_nor_below():
    best = number(0.50, 0.04)
    assert answers.above(best, number(0.20, 0.02)) and not answers.above(number(0.20, 0.02), best)
    near = number(0.505, 0.02)
    assert not answers.above(best, near) and not answers.above(near, best)
    assert answers.above(number(0.505, 0.04), best)  # of the very same draws: paired, they differ for certain
    assert "not told apart (" in answers.beside("it", best, [Floor("near", near)])


@pytest.mark.parametrize(("value", "word"), [(0.05, "above"), (-0.05, "below")])
def test_a_sentence_and_the_claim_of_the_same_numbers_agree(value, word):
    """Of a skewed count: its central 95 % hold 0, and noise still reaches less far in 95 % of the draws."""
    skewed = Measured(
        value, np.sign(value) * np.where(np.arange(200) < 8, -0.01, 0.05 + 1e-4 * (np.arange(200) % 7))
    )
    nothing = Measured(0.0, np.zeros(200))
    low, high = (skewed - nothing).interval
    assert low <= 0 <= high
    found = claims.check("label_rare_beats_image", skewed, nothing)
    said = answers.beside("it", skewed, [Floor("image", nothing)])
    ends = sorted(f"{100 * abs(end):.1f}" for end in found.interval)
    assert found.status == {"above": "reproduced", "below": "differs"}[word]
    assert f" points ({ends[0]} to {ends[1]}) {word} image" in said
    assert answers.above(skewed, nothing) == (word == "above")
    assert answers.above(nothing, skewed) == (word == "below")


def test_say_keeps_the_sentences_that_hold():
    said = answers.say("Always.", (True, "It rises."), (np.bool_(False), "It falls."), (0, "No."), "End.")
    assert said.data == "Always. It rises. End."
    assert answers.say((False, "nothing")).data == ""


def claim(status, contradiction=None, **changes):
    given = dict(value=30, interval=(20, 40), what="Images peak", metric="best timestep", unit="")
    return Result(
        "x", support=0.9, against=0.1, status=status, contradiction=contradiction, **given | changes
    )


DIP = Contradiction("block 8: t = 30 lies above t = 0", 0.021, (0.010, 0.032))


def lines(*results):
    return answers.claims(SimpleNamespace(results=results)).data.split("\n")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("reproduced", "- **Reproduced**: Images peak. Here: best timestep 30 (20 to 40)."),
        ("inconclusive", "- **Inconclusive**: Images peak. Here: best timestep 30 (20 to 40)."),
        (
            "differs",
            "- **Differs**: Images peak. Here: best timestep 30 (20 to 40). Against it: block 8: t = 30 lies "
            "above t = 0: +2.1 points (+1.0 to +3.2).",
        ),
    ],
)
def test_a_claim_in_a_line_with_what_contradicts_it_where_that_decides(status, said):
    assert lines(claim(status, DIP)) == [said]


def test_claims_are_listed_and_numbers_are_not():
    number = Result("best", 0.5, what="best image feature", status="other data")
    unnamed = Result("images", 24, unit="count")
    found = lines(claim("reproduced"), number, unnamed, claim("differs", what="Text falls"))
    assert [line.split(".")[0] for line in found] == [
        "- **Reproduced**: Images peak",
        "- **Differs**: Text falls",
    ]
    assert lines(number) == ["No claim was tested here."]


def test_a_contradiction_without_an_interval_has_none():
    assert Contradiction("block 8: t = 10 lies above t = 0", 1e-4, None).text.endswith("t = 0: +0.0 points")
