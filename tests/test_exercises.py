"""Exercises at the ends of pages: the pages take their commands, and a reader's own pictures run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difffeat.base.files import ROOT
from difffeat.profiles import load, planned

EXERCISES = sorted((ROOT / "book" / "exercises").glob("*.md"))
PICTURES = 10


def command(exercise):
    """What an exercise asks to be typed."""
    return re.search(r"```sh\n(.*?)```", exercise.read_text(encoding="utf-8"), re.DOTALL)[1]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda path: path.stem)
def test_parameters_are_those_of_the_page(exercise):
    said = command(exercise)
    words = shlex.split(said[said.index("papermill") :].replace("\\\n", " "))
    page, given = Path(words[1]), [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    assert page.parent.name == "notebooks" and given
    assert set(given) - {"profile"} <= set(planned(load("scenes"), page.stem))


def test_ten_pictures_of_ones_own(tmp_path):
    """The commands of the page's exercise, as they are printed, in a copy of the project."""
    for name in ("notebooks", "difffeat", "data_prep"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    said = command(ROOT / "book" / "exercises" / "12_noise_seen.md").replace("mkdir mine", "mkdir -p mine")
    (tmp_path / "mine").mkdir()
    for number in range(1, PICTURES + 1):
        pixels = np.random.default_rng(number).integers(0, 256, (90, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{number}.jpg")
    rows = "".join(f"{n}.jpg,Words of picture {n}.,label,train\n" for n in range(5, PICTURES + 1))
    said = said.replace("tree|house,train\n", f"tree|house,train\n{rows}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("DIFFFEAT")}
    env |= {"PATH": path, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(["bash", "-e", "-c", said], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (
        "words_kept_random_300" in (tmp_path / "build" / "mine" / "mine" / "12_noise_seen.json").read_text()
    )
