"""Where the tests of readers find parts of the real data sets."""

import os
from pathlib import Path

import pytest


def reference(name):
    """The folder with a part of this data set, or the test is skipped."""
    if "DIFFFEAT_REFERENCE" not in os.environ:
        pytest.skip(f"DIFFFEAT_REFERENCE is not set: the folder that holds data/{name}")
    return Path(os.environ["DIFFFEAT_REFERENCE"]) / "data" / name
