"""The second paper's claims: each is listed once, tests tell a trend from noise, its table stands apart."""

import re

import numpy as np
import pytest

from difffeat.evidence import claims, inside
from difffeat.evidence.claims import check
from difffeat.evidence.papers.activations import tables as paper
from difffeat.evidence.papers.activations.claims import CLAIMS
from difffeat.evidence.papers.listed import PAPERS
from difffeat.evidence.results import Page
from difffeat.evidence.shapes import TooFewPoints
from difffeat.probing.stats import Measured
from difffeat.profiles import ROOT, declared
from difffeat.show.claim_table import claim_table

RANDOM = np.random.default_rng(0)
OWN = [claim for claim in CLAIMS if claim.id.startswith("act_")]


def around(values, noise=0.01):
    values = np.asarray(values, dtype=float)
    return Measured(values, values + noise * RANDOM.normal(size=(300, *values.shape)))


def test_claims_are_found_in_every_module_and_only_once():
    names = [claim.id for claim in CLAIMS]
    assert len(OWN) >= 10 and len(set(names)) == len(names)
    assert PAPERS["Activations"] == CLAIMS
    folder = ROOT / "difffeat" / "evidence" / "papers" / "activations" / "claims"
    texts = [path.read_text(encoding="utf-8") for path in folder.glob("*.py")]
    written = {name for text in texts for name in re.findall(r'"(act_[a-z_]+)"', text)}
    assert len(written) >= 10 and written <= set(names)


@pytest.mark.parametrize("claim", OWN, ids=lambda claim: claim.id)
def test_a_claim_that_is_a_trend_is_recorded_by_the_page_that_it_names(claim):
    if claim.test is None:
        assert claim.needs.startswith(("SPair-71k and", "ADE20K and", "Horse-21 and"))
        return
    text = (ROOT / "notebooks" / f"{claim.needs}.ipynb").read_text(encoding="utf-8")
    assert f'\\"{claim.id}\\"' in text and "images" in declared(claim.needs)["needs"]


def test_the_printed_numbers():
    assert paper.tasks() == ["semantic correspondence", "semantic segmentation", "label-scarce segmentation"]
    assert [paper.reached(task).value for task in paper.tasks()] == [0.8390, 0.4571, 0.663]
    assert paper.reached("semantic correspondence").rounding == pytest.approx(0.5e-4)
    assert paper.reached("label-scarce segmentation").rounding == pytest.approx(0.5e-3)
    assert paper.above("semantic segmentation").value == 0.046
    with pytest.raises(ValueError, match="prints no above of label-scarce"):
        paper.above("label-scarce segmentation")
    with pytest.raises(ValueError, match="no number of 'depth'; the paper prints those of semantic corr"):
        paper.reached("depth")


def test_numbers_that_nobody_has_run_say_what_they_need(tmp_path):
    table = claim_table(tmp_path / "scenes", tmp_path).of("Activations")
    status = table.frame.set_index("id")["scenes: status"]
    assert status["act_segmentation_number"].startswith(
        "not run (needs ADE20K and Stable Diffusion 1.5 and XL"
    )
    shown = table.frame.set_index("id")["paper"]
    assert shown["act_segmentation_number"] == "45.71%" and shown["act_segmentation_margin"] == "+4.6"
    assert shown["act_label_scarce_number"] == "66.3%" and shown["act_correspondence_number"] == "83.90%"


def test_each_paper_has_a_table_of_its_own(tmp_path):
    whole = claim_table(tmp_path / "scenes", tmp_path)
    parts = {name: whole.of(name) for name in PAPERS}
    assert [*parts["Diff-Feat"].frame.id, *parts["Activations"].frame.id] == list(whole.frame.id)
    assert list(parts["Activations"].frame.id) == [claim.id for claim in CLAIMS]
    rows = re.findall(r'<tr id="claim-(\w+)"', parts["Activations"]._repr_html_())
    assert rows == [claim.id for claim in CLAIMS]
    counted = {result.id: result.value for result in whole.counts}
    assert counted["claims_total"] == sum(len(part.frame) for part in parts.values())


def test_a_gain_of_noise_shares_is_told_from_noise():
    more, less = around([0.6, 0.7, 0.8]), around([0.5, 0.6, 0.7])
    for name in ("act_increments_noisy", "act_noise_high", "act_attention_suppresses"):
        assert check(name, more, less).status == "reproduced"
        assert check(name, less, more).status == "differs"
        assert check(name, around(more.values, 1.0), less).status == "inconclusive"
    found = check("act_increments_noisy", more, less)
    assert found.value == pytest.approx(0.1) and found.unit == "points" and found.paper.value is None
    assert found.paper.dataset == "SPair-71k, ADE20K, Horse-21"


@pytest.mark.parametrize(
    ("values", "noise", "status"),
    [
        ([0.5, 0.3, 0.2, 0.2, 0.3, 0.4], 0.01, "reproduced"),
        ([0.5, 0.3, 0.2, 0.2, 0.3, 0.1], 0.01, "differs"),  # the output has less
        ([0.1, 0.3, 0.2, 0.2, 0.3, 0.5], 0.01, "differs"),  # the input has less
        ([0.5, 0.3, 0.2, 0.2, 0.3, 0.4], 0.5, "inconclusive"),
    ],
)
def test_both_ends_are_noisier_than_the_middle(values, noise, status):
    found = check("act_noise_asymmetric", around(values, noise))
    assert found.status == status
    ends = [values[end] - np.mean(values[2:4]) for end in (0, -1)]
    assert found.value == pytest.approx(min(ends))
    if status == "differs":
        assert found.contradiction.what.startswith(
            f"the {'first' if ends[0] < 0 else 'last'} block lies below"
        )


def test_a_number_that_changes_along_the_model():
    assert check("act_granularity_changes", around([1.0, 1.5, 1.2])).status == "reproduced"
    assert check("act_granularity_changes", around([1.0, 1.5, 1.2])).value == pytest.approx(0.5)
    assert check("act_granularity_changes", around([1.0, 1.0, 1.0])).status == "inconclusive"
    seen = [inside.changes(around([1.0] * 6)).status == "reproduced" for _ in range(60)]
    assert not any(seen)  # the values are the truth: the largest is the smallest
    with pytest.raises(TooFewPoints):
        inside.changes(around([1.0]))
    assert check("act_granularity_changes", around([1.0])).status.startswith(
        "not run (needs at least 2 blocks"
    )
    assert check("act_noise_asymmetric", around([1.0, 2.0])).status.startswith("not run (needs at least 3")


def test_changes_by_noise_alone_are_seldom_seen():
    """Measured with noise, equal numbers are called different about one time in twenty at most."""
    seen = []
    for _ in range(100):
        values = 0.1 * RANDOM.normal(size=6)
        seen.append(inside.changes(around(values, 0.1)).status == "reproduced")
    assert np.mean(seen) < 0.12


def test_attention_is_local_where_every_block_looks_nearer():
    near, far = around([1.0, 2.0, 3.0]), around([1.0, 2.0, 5.0])
    assert check("act_attention_local", near, uniform=4.0).status == "reproduced"
    found = check("act_attention_local", far, uniform=4.0)
    assert found.status == "differs" and found.value == pytest.approx(-1)
    assert found.contradiction.what == "attention number 3 looks farther"


@pytest.mark.parametrize(
    ("first", "second", "noise", "status"),
    [
        (0.50, 0.50, 0.002, "reproduced"),
        (0.52, 0.50, 0.002, "reproduced"),
        (0.495, 0.50, 0.001, "reproduced"),  # within the margin
        (0.47, 0.50, 0.002, "differs"),
        (0.50, 0.50, 0.050, "inconclusive"),  # not seen is not shown
    ],
)
def test_equal_or_better_is_shown_not_assumed(first, second, noise, status):
    found = check("act_filter_equals", around(first, noise), around(second, noise), margin=0.01)
    assert found.status == status and found.value == pytest.approx(first - second)


def test_one_and_the_same_activation_is_equal_to_itself():
    number = around(0.5)
    assert check("act_filter_equals", number, number, margin=0.01).status == "reproduced"


def test_what_is_above_zero():
    for name in ("act_filter_keeps_top", "act_local_suppresses"):
        assert check(name, around(0.5, 0.1)).status == "reproduced"
        assert check(name, around(-0.5, 0.1)).status == "differs"
        assert check(name, around(0.1, 0.5)).status == "inconclusive"


def test_a_claim_is_found_where_a_page_has_measured_it():
    claim = next(claim for claim in CLAIMS if claim.id == "act_inside_beats_outputs")
    better, worse = around(0.6), around(0.5)
    result = check(claim.id, better, worse)
    about = dict(profile="scenes", dataset="scenes", parameters={}, cache=(), commit=None, versions={})
    page = Page(notebook="52_joined", results=(result,), **about)
    assert claims.find({"52_joined": page}, claim) == (page, result)
    assert claims.find({}, claim) == (None, None)
