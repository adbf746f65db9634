"""The enhanced-caption recipe, on sentences worked by hand and on the real COCO labels."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from data_prep.captions import (
    enhance,
    enhanced,
    enhanced_splits,
    expected_length_counts,
    length_counts,
    plural,
    rare_categories,
    string_match_scores,
    through_noise,
)
from data_prep.readers import coco_lists
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.features.datasets import Split
from difffeat.probing.metrics import mean_average_precision

OFFICE = "An office cubicle with four different types of computers."


@pytest.fixture(scope="module")
def reference():
    folder = os.environ.get("DIFFFEAT_REFERENCE")
    if not folder:
        pytest.skip("DIFFFEAT_REFERENCE is not set: it names the folder with the real COCO labels")
    return Path(folder) / "data"


@pytest.fixture(scope="module")
def lists(reference):
    """The real COCO: train with labels alone, val with labels and captions."""
    return coco_lists.read(reference / "coco2014")


def test_plurals_follow_the_recipe_not_english():
    forms = {
        "person": "persons",
        "bus": "buses",
        "bench": "benches",
        "toothbrush": "toothbrushes",
        "box": "boxes",
    }
    forms |= {"sheep": "sheeps", "skis": "skises", "knife": "knifes", "mouse": "mouses"}
    assert {name: plural(name) for name in forms} == forms


def test_the_papers_example():
    assert (
        enhance(OFFICE, ["chair", "bottle"])
        == OFFICE + " In this photo, there are also some chairs, bottles."
    )


def test_rare_labels_are_listed_twice():
    caption = enhance("  A cat watches a toaster ", ["cat", "toaster"], rare={"toaster", "bear"})
    assert caption == (
        "A cat watches a toaster. In this photo, there are also some cats, toasters."
        " In the photo's subtle background, you can also spot some toasters."
    )


def test_an_image_without_labels_keeps_its_caption():
    assert enhance(" An empty street ", [], rare={"bear"}) == "An empty street"


def test_every_choice_changes_what_it_says():
    labels, rare = ["hot dog", "person", "dog"], {"hot dog"}
    caption = "Two persons with a hot dog"
    listed = " In this photo, there are also some {}."
    spotted = " In the photo's subtle background, you can also spot some {}."
    start = caption + "."
    everything = listed.format("hot dogs, persons, dogs") + spotted.format("hot dogs")
    assert enhance(caption, labels, rare) == start + everything
    assert enhance(caption, labels, rare, rare_phrase=False) == start + listed.format(
        "hot dogs, persons, dogs"
    )
    assert enhance(caption, labels, rare, labels_phrase=False) == start + spotted.format("hot dogs")
    assert enhance(caption, labels, rare, labels_phrase=False, rare_phrase=False) == caption
    singular = start + listed.format("hot dog, person, dog") + spotted.format("hot dog")
    assert enhance(caption, labels, rare, plurals=False) == singular
    assert enhance(caption, labels, rare, listed="unmentioned") == start + listed.format("dogs")
    assert enhance(caption, ["person"], rare, listed="unmentioned") == caption
    with pytest.raises(ValueError, match="all, unmentioned, got 'some'"):
        enhance(caption, labels, listed="some")


def test_rare_means_fewer_than_the_share():
    labels = np.zeros((200, 3), np.uint8)
    labels[:1, 0], labels[:2, 1], labels[:3, 2] = 1, 1, 1
    assert rare_categories(labels, ("bear", "cat", "dog")) == ("bear",)
    assert rare_categories(labels, ("bear", "cat", "dog"), threshold=0.012) == ("bear", "cat")
    with pytest.raises(ValueError, match="K = 2 names"):
        rare_categories(labels, ("bear", "cat"))


def test_string_match_finds_whole_words_and_the_longest_name():
    names = ("dog", "hot dog", "bus", "car")
    captions = ["Hot dogs on BUSES.", "A dog beside a hot dog", "A carrot, a busy dogma", "dogs, cars"]
    found = [[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]]
    assert string_match_scores(captions, names).tolist() == found
    assert string_match_scores(captions, names, plurals=False).tolist() == [
        [0] * 4,
        [1, 1, 0, 0],
        [0] * 4,
        [0] * 4,
    ]


def test_enhanced_captions_give_the_labels_away():
    names = ("bus", "car", "dog")
    labels = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]], np.uint8)
    split = Split(
        "val", range(4), names, labels, ["A street", "A parked car", "Nothing", "A puppy in a bus."]
    )
    told = enhanced(split, rare=("dog",))
    assert told.captions[2] == "Nothing" and told.captions[1].endswith("some cars.")
    assert np.array_equal(told.ids, split.ids) and told.digest != split.digest
    assert mean_average_precision(labels, string_match_scores(told.captions, names)) == 1
    assert mean_average_precision(labels, string_match_scores(split.captions, names)) < 0.8
    with pytest.raises(ValueError, match="'val' has no captions"):
        enhanced(Split("val", range(4), names, labels))


def test_rare_labels_are_those_of_train_in_every_part():
    names = ("cat", "dog")
    train = Split("train", range(4), names, [[1, 0], [1, 0], [1, 0], [1, 1]], ["A picture"] * 4)
    val = Split("val", [7], names, [[1, 1]], ["Two pets"])
    told = enhanced_splits({"train": train, "val": val}, rare_below=0.3)["val"].captions[0]
    assert told.endswith(
        "also some cats, dogs. In the photo's subtle background, you can also spot some dogs."
    )
    told = enhanced_splits({"train": train, "val": val}, plurals=False)["val"].captions[0]
    assert told.endswith("also some cat, dog.")


def test_lengths_are_counted_in_the_ranges_of_table_8(reference):
    tokenizer = Tokenizer.from_file(str(reference / "plaid_tokenizer" / "owt2_tokenizer.json"))
    office = enhance(OFFICE, ["chair", "bottle"])
    assert len(tokenizer.encode(office).ids) == 23
    counts = length_counts(["A cat.", office, office * 2, office * 9], tokenizer)
    assert counts.samples.tolist() == [1, 1, 0, 1, 0, 1]
    assert counts[["shortest", "longest"]].equals(paper.table(8)[["shortest", "longest"]])


def test_real_coco_has_the_seven_rare_categories_of_table_3(lists):
    labels, names = lists["train"].labels, lists["train"].names
    rare = rare_categories(labels, names)
    counts = dict(zip(names, labels.sum(axis=0), strict=True))
    published = paper.table(3)
    assert {name: counts[name] for name in rare} == dict(
        zip(published.category, published.images, strict=True)
    )


def test_the_recipe_on_real_captions_of_coco(lists):
    split, names = lists["val"][:2000], lists["val"].names
    told = enhanced(split, rare=paper.table(3).category.tolist())
    scores = string_match_scores(told.captions, names)
    assert (scores >= split.labels).all()  # every label of the image is in its caption
    assert mean_average_precision(split.labels, scores) > 0.95
    assert mean_average_precision(split.labels, string_match_scores(split.captions, names)) < 0.7


@pytest.fixture(scope="module")
def words():
    """A byte-level tokenizer of 400 entries, as Plaid's is but for its size."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    texts = [enhance(OFFICE, ["cat", "dog"], rare={"cat"}), "A cat and a dog sleep on a mat."] * 3
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@pytest.mark.parametrize("choices", [{}, {"plurals": False}, {"labels_phrase": False}])
def test_expected_lengths_are_those_of_every_caption_with_every_phrase(words, choices):
    names, rare = ["cat", "dog"], {"dog"}
    captions = ["A cat sleeps", "Two dogs run on a mat.", " A mat "]
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    told = [
        enhance(caption, [name for name, on in zip(names, row, strict=True) if on], rare, **choices)
        for row in labels
        for caption in captions
    ]
    ours = expected_length_counts(captions, labels, names, words, rare, longest=4, **choices)
    every = length_counts(told, words, longest=4)
    np.testing.assert_allclose(ours.samples, every.samples / len(captions))
    assert ours.samples.sum() == pytest.approx(len(labels))


def test_reading_through_noise_loses_words_as_the_noise_grows(words):
    embeddings = torch.randn(words.get_vocab_size(), 16, generator=torch.Generator().manual_seed(0))
    embeddings = torch.nn.functional.normalize(embeddings, dim=1)
    texts = ["A cat and a dog sleep on a mat."] * 40
    right = [
        np.mean(
            [
                text == read
                for text, read in zip(texts, through_noise(texts, words, embeddings, gamma), strict=True)
            ]
        )
        for gamma in (-12.0, -4.0, 6.0)
    ]
    assert right[0] == 1.0 > right[1] > right[2] == 0.0
    assert through_noise(texts, words, embeddings, -4.0) == through_noise(texts, words, embeddings, -4.0)
