"""The probes of the book are as long as they need to be: the paper's own length gives the same statuses.

`results/long` holds what the pages on images and text measured with the paper's 25,880 steps:

    DIFFFEAT_RESULTS=results/long papermill notebooks/21_probe_text_grid.ipynb out.ipynb -p steps 25880
"""

import pytest

from difffeat.evidence import results
from difffeat.probing import probe
from difffeat.profiles import ROOT


@pytest.mark.parametrize("page", ["20_probe_image_grid", "21_probe_text_grid"])
def test_the_papers_length_gives_the_same_statuses(page):
    stored, long = (
        results.read(ROOT / "results" / folder / f"{page}.json") for folder in ("scenes", "long/scenes")
    )
    assert stored.parameters["steps"] < long.parameters["steps"] == probe.STEPS
    assert {**stored.parameters, "steps": probe.STEPS} == long.parameters
    statuses = [
        {result.id: result.status for result in found.results if result.support is not None}
        for found in (stored, long)
    ]
    assert len(statuses[0]) >= 4 and statuses[0] == statuses[1]
