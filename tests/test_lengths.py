"""Probes are as long as the paper's; where there are too many of them, fewer steps give the same status.

`results/long` holds what the page on the search measured with pairs of the paper's own length:

    DIFFFEAT_RESULTS=results/long papermill notebooks/31_search.ipynb out.ipynb -p pair_steps 25880
"""

import pytest

from difffeat import profiles
from difffeat.evidence import results
from difffeat.probing import probe
from difffeat.profiles import ROOT


@pytest.mark.parametrize("page", ["20_probe_image_grid", "21_probe_text_grid", "30_fusion", "31_search"])
def test_probes_are_as_long_as_the_papers(page):
    taken = profiles.planned(profiles.load("scenes"), page)
    assert (taken["steps"], taken["epochs"]) == (probe.STEPS, 0)


def test_fewer_steps_of_the_pairs_give_the_same_status():
    stored, long = (
        results.read(ROOT / "results" / folder / "31_search.json") for folder in ("scenes", "long/scenes")
    )
    assert stored.parameters["pair_steps"] < long.parameters["pair_steps"] == probe.STEPS
    assert {**stored.parameters, "pair_steps": probe.STEPS} == long.parameters
    statuses = [
        {result.id: result.status for result in found.results if result.support is not None}
        for found in (stored, long)
    ]
    assert statuses[0] and statuses[0] == statuses[1]
