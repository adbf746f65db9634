"""What noised inputs still show: words that are kept and words that are lost, and pictures of both."""

import pytest
import tiny
from PIL import Image

from difffeat.backbones import noised
from difffeat.show.slider import Slider

TEXTS = [" ".join(tiny.WORDS[start : start + 3]) for start in range(4)]


def test_deterministic_noising_keeps_every_word_and_noise_loses_them(monkeypatch):
    model = tiny.plaid()
    assert noised.kept(model, TEXTS, 900, "mean") == 1
    few, many = (noised.kept(model, TEXTS, timestep, "random") for timestep in (999, 0))
    assert few < many <= 1
    monkeypatch.setattr(noised, "BATCH", 1)  # the noise of a text is its own, whoever is beside it
    assert noised.kept(model, TEXTS, 0, "random") == pytest.approx(many)


def test_a_frame_says_the_words_and_shows_both_pictures():
    picture = Image.new("RGB", (16, 16), "red")
    frame = noised.frame(tiny.dit(), tiny.plaid(), picture, TEXTS[0], 999, ["random", "mean"])
    assert [word.written for word in frame.words["mean"]] == TEXTS[0].split()
    assert all(word.nearest == word.written for word in frame.words["mean"])
    assert {image.size for image in (frame.noised, frame.estimate)} == {(16, 16)}
    html = Slider([frame])._repr_html_()
    lost = [word for word in frame.words["random"] + frame.read if word.nearest != word.written]
    assert html.count("<del>") == len(lost) and html.count("<img") == 2 and "t = 999" in repr(Slider([frame]))
