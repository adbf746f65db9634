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

LONG = ROOT / "results" / "long" / "scenes"
PAGES = sorted(path.stem for path in LONG.glob("*.json"))
LONGER = {
    "22_categories": ["steps", "pair_steps"],
    "31_search": ["steps", "pair_steps"],
}  # else `steps` alone


def test_every_page_with_probes_is_held_to_longer_ones():
    """Recorded pages have the time for probes of the paper's length, or show what length does."""
    names = [path.stem for path in (ROOT / "notebooks").glob("*.ipynb")]
    planned = {name: profiles.planned(profiles.load("scenes"), name) for name in names}
    probing = {name: taken for name, taken in planned.items() if taken.get("epochs") == 0}
    assert set(PAGES) == {name for name, taken in probing.items() if taken["steps"] < probe.STEPS}
    long = {name for name in probing if profiles.declared(name).get("recorded")}
    assert long and all(planned[name]["steps"] == probe.STEPS for name in long)


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
    assert statuses[0] == statuses[1]
