"""What the notebooks just measured against `results/`; `make test` runs this after them."""

import os
from pathlib import Path

import pytest

from difffeat.evidence.differences import differences
from difffeat.profiles import ROOT


def test_measured_results_are_the_stored_ones_within_tolerance():
    measured = ROOT / os.environ["DIFFFEAT_RESULTS"] / "scenes"
    stored = ROOT / "results" / "scenes"
    names = {path.stem for path in Path(ROOT / "notebooks").glob("*.ipynb")}  # the recorded ones were copied
    assert (
        {path.stem for path in stored.glob("*.json")}
        == names
        == {path.stem for path in measured.glob("*.json")}
    )
    found = differences(stored, measured)
    assert not found, "\n".join(map(str, found))


def test_pages_recorded_from_real_data_are_measured_as_stored():
    if not os.environ.get("DIFFFEAT_REFERENCE"):
        pytest.skip("DIFFFEAT_REFERENCE is not set: it names the folder with the real data")
    measured = ROOT / os.environ["DIFFFEAT_RESULTS"] / "coco-lists"
    assert {path.stem for path in measured.glob("*.json")} == {"coco_captions"}
    found = differences(ROOT / "results" / "coco-lists", measured)
    assert not found, "\n".join(map(str, found))
