"""Probes are shorter than the paper's, to save time: fewer steps give the same statuses.

`results/long` holds what each page measured with probes and heads of the paper's own length:

    DIFFFEAT_RESULTS=results/long papermill notebooks/20_probe_image_grid.ipynb out.ipynb -p steps 25880

With `-p pair_steps 25880` besides where `LONGER` says so.
"""

import pytest

from difffeat import profiles
from difffeat.evidence import results
from difffeat.probing import probe
from difffeat.profiles import ROOT

SHORT = {"24_token_length"}  # trains probes of the search's length alone
# Inconclusive with the page's few steps, reproduced with the paper's: the page needs longer probes.
CHANGED = {"52_joined": {"act_combined_beats_single"}}
LONG = ROOT / "results" / "long" / "scenes"
PAGES = sorted(
    path.stem for path in LONG.glob("*.json") if path.stem != "32_protocol"
)  # that page shows its own
LONGER = {
    "22_categories": ["steps", "pair_steps"],
    "31_search": ["steps", "pair_steps"],
}  # else `steps` alone


def test_every_page_with_probes_is_held_to_longer_ones():
    with_probes = {
        path.stem
        for path in (ROOT / "notebooks").glob("*.ipynb")
        if profiles.planned(profiles.load("scenes"), path.stem).get("epochs") == 0
    }
    assert set(PAGES) == with_probes - SHORT


@pytest.mark.parametrize("page", PAGES)
def test_fewer_steps_give_the_same_statuses(page):
    stored, long = (
        results.read(ROOT / "results" / folder / f"{page}.json") for folder in ("scenes", "long/scenes")
    )
    longer = dict.fromkeys(LONGER.get(page, ["steps"]), probe.STEPS)
    assert all(stored.parameters[name] < length for name, length in longer.items())
    assert {**stored.parameters, **longer} == long.parameters
    statuses = [
        {result.id: result.status for result in found.results if result.support is not None}
        for found in (stored, long)
    ]
    changed = {name for name in statuses[0] | statuses[1] if statuses[0].get(name) != statuses[1].get(name)}
    assert changed == CHANGED.get(page, set())
