"""Masked captions give no name away; what a reader without a model recovers; open choices and their links."""

import re
from dataclasses import replace

import numpy as np
import pytest
import tiny

from data_prep import captions, masking
from difffeat.evidence import leakage
from difffeat.probing.floors import Floor
from difffeat.probing.stats import Measured

NAMES = ["dog", "hot dog", "bus"]


def number(value, spread=0.0):
    return Measured(value, value + spread * np.linspace(-1, 1, 201))


def test_a_mask_hides_every_form_of_a_name_and_nothing_else():
    caption = "A hot dog, two Dogs and a doghouse. In this photo, there are also some buses."
    masked = masking.mask(caption, NAMES)
    assert masked == "A thing, two things and a doghouse. In this photo, there are also some things."
    assert not captions.string_match_scores([masked], NAMES).any()
    assert captions.string_match_scores([caption], NAMES).all()
    assert masking.mask("buses", NAMES, plurals=False) == "buses"


def test_masked_splits_keep_everything_but_the_names():
    split = tiny.split(6)
    held = masking.masked_splits({"val": captions.enhanced(split)}, "thing")["val"]
    assert not captions.string_match(held).any() and captions.string_match(split).any()
    assert np.array_equal(held.labels, split.labels) and np.array_equal(held.ids, split.ids)
    with pytest.raises(ValueError, match="'cat' is the name of a label"):
        masking.masked(split, "cat")
    with pytest.raises(ValueError, match="no captions to mask"):
        masking.masked(replace(split, captions=()), "thing")


def test_what_masked_captions_show_is_counted():
    split = masking.masked(captions.enhanced(tiny.split(20), rare=["cow"]), "thing")
    for (things, stops), row in zip(leakage.counts(split, "thing"), split.labels, strict=True):
        assert things >= row.sum() and stops == row.any() + (1 + row[2] if row.any() else 0)


def test_a_reader_of_groups_scores_by_how_often_labels_occur_there():
    labels = [[1, 0], [0, 0], [1, 1]]
    scores = leakage.by_group(["a", "a", "b"], labels, ["b", "a", "unknown"])
    assert np.allclose(scores, [[1, 1], [0.5, 0], [2 / 3, 1 / 3]])


def test_how_far_a_reader_gets_on_the_way_of_a_feature():
    before, after = number(0.4, 0.01), number(0.9, 0.01)
    assert leakage.recovered(before, after, number(0.65)).value == pytest.approx(0.5)
    assert leakage.recovered(before, after, after).value == 1
    with pytest.raises(ValueError, match="nothing was gained"):
        leakage.recovered(after, before, after)


def test_the_gain_in_words_changes_with_the_numbers():
    before, after = number(0.4, 0.01), number(0.9, 0.01)
    said = leakage.gained(before, after, [Floor("string match", number(0.65, 0.01)), Floor("words", after)])
    assert "goes from 40.0% to 90.0%" in said and re.search(r"string match 50% .*, words 100%", said)
    level = leakage.gained(before, number(0.4, 0.02), [])
    assert level.endswith("no gain beyond noise.")


def test_names_right_and_wrong():
    labels, matches = [[1, 1, 0], [0, 0, 1]], [[1, 0, 1], [0, 0, 1]]
    assert leakage.named(labels, matches) == {"found": 2 / 3, "wrong": pytest.approx(1 / 3)}
    assert leakage.named(labels, np.zeros((2, 3))) == {"found": 0, "wrong": 0}
