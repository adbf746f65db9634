"""What the notebooks just measured against `results/scenes`; `make test` runs this after them."""

import os
from pathlib import Path

from difffeat import claims
from difffeat.profiles import ROOT


def test_measured_results_are_the_stored_ones_within_tolerance():
    measured = ROOT / os.environ["DIFFFEAT_RESULTS"] / "scenes"
    stored = ROOT / "results" / "scenes"
    names = {path.stem for path in Path(ROOT / "notebooks").glob("*.ipynb")}
    assert (
        {path.stem for path in stored.glob("*.json")}
        == names
        == {path.stem for path in measured.glob("*.json")}
    )
    differences = claims.differences(stored, measured)
    assert not differences, "\n".join(map(str, differences))
