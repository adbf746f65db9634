"""What a page found, as a page that sums it up says it: other results, other sentences and figures."""

from dataclasses import replace

import pytest

from difffeat.base.files import ROOT
from difffeat.evidence import summed
from difffeat.evidence.results import read


def stored(page, **changed):
    """A page as recorded on scenes, some of its results with other fields."""
    found = read(ROOT / "results" / "scenes" / f"{page}.json")
    assert changed.keys() <= {result.id for result in found.results}
    results = [replace(result, **changed.get(result.id, {})) for result in found.results]
    return replace(found, results=tuple(results))


def moved(value, low, high):
    return dict(value=value, interval=(low, high))


def test_noising_tells_both_gains_and_what_the_claim_on_images_came_to():
    page = stored(
        "23_noising",
        noising_text_gain=moved(0.2, 0.1, 0.3),
        noising_copy_gain=moved(-0.05, -0.06, -0.04),
        noising_images_same=dict(status="reproduced") | moved(0.004, 0.001, 0.007),
    )
    said = summed.noising(page)
    assert "has +20.0 (+10.0 to +30.0) points to random noise, and -5.0 (-6.0 to -4.0)" in said[0]
    assert "do not differ holds: where they differ most, by +0.4 (+0.1 to +0.7) points" in said[2]
    other = stored("23_noising", noising_images_same=dict(status="differs"))
    assert "do not differ does not hold" in summed.noising(other)[2]
    unmeasured = stored("23_noising", noising_images_same=dict(status="not run (needs more)"))
    assert "could not be asked" in summed.noising(unmeasured)[2]


def test_lengths_rise_and_hold_every_score_of_the_page():
    page = stored("24_token_length", length_real_13_score=moved(0.5, 0.4, 0.6))
    found = summed.lengths(page)
    scores = [result for result in page.results if result.id.endswith("_score")]
    assert len(found) == len(scores) == 18
    assert found["L = 13", "out of the mean"] == (0.5, (0.4, 0.6))
    sizes = [int(name.removeprefix("L = ")) for name, _ in found]
    assert sizes == sorted(sizes) and len(set(sizes)) == 6


def test_length_words_name_the_best_length_and_what_each_padding_takes():
    page = stored(
        "24_token_length",
        text_best_length=dict(value=20),
        length_mean_lost=moved(0.03, 0.01, 0.05),
        length_rises_then_falls=dict(status="reproduced"),
    )
    best, lost, rise = summed.length_words(page)
    assert best.startswith("Validation texts choose L = 20; the longest text of training has 59 tokens")
    assert "with padding in the mean +3.0 (+1.0 to +5.0);" in lost and "not shown +0.0" in lost
    assert rise == "That the curve rises and then falls holds."


def test_clusters_name_the_tightest_and_each_index():
    page = stored(
        "33_clusters",
        features_as_written_text_projected_silhouette=moved(0.9, 0.8, 1.0),
        clusters_dbi_plane=dict(status="differs"),
    )
    held = summed.silhouettes(page)
    assert held["text projected", "in feature space"] == (0.9, (0.8, 1.0))
    assert len(held) == 9 and len({name for name, where in held if where == "on the plane"}) == 3
    claims, space, plane = summed.cluster_words(page)
    assert "on the plane it does not hold by DBI, holds by CHI" in claims
    assert space == "The highest silhouette in feature space: text projected, 0.90."
    assert plane.startswith("The highest silhouette on the plane: fused, 0.7")
    enhanced = summed.silhouettes(page, "enhanced")
    assert enhanced.keys() == held.keys() and enhanced != held


def test_too_few_samples_for_clusters_leave_the_claims_alone():
    page = stored("33_clusters")
    left = [result for result in page.results if result.id.startswith("clusters_")]
    empty = replace(page, results=tuple(replace(one, status="not run (needs samples)") for one in left))
    assert summed.silhouettes(empty) == {}
    (said,) = summed.cluster_words(empty)
    assert said.count("could not be asked by") == 6


@pytest.mark.parametrize(
    ("interval", "beyond"), [((0.01, 0.03), ""), ((-0.03, -0.01), ""), ((-0.01, 0.05), ", not told apart")]
)
def test_joined_says_whether_a_gain_is_beyond_noise(interval, beyond):
    page = stored("52_joined", joined_gain=dict(value=sum(interval) / 2, interval=interval))
    said = summed.joined_words(page)[0]
    assert said.startswith(
        "Outputs are best at t = 0, block 8 (60.2%), places inside blocks at t = 50, block 8"
    )
    assert ("not told apart" in said) == bool(beyond)
    assert summed.joined_gaps(page)["inside, less outputs"] == (sum(interval) / 2, interval)


def test_joined_says_what_moves():
    page = stored("52_joined", joined_block_moves=moved(-4.0, -4.0, -2.0))
    told = summed.joined_words(page)
    assert told[2].endswith("the timestep changes by 50 (-50 to 100): it cannot be told from no change.")
    assert told[3].endswith("the block changes by -4 (-4 to -2): it moves.")
