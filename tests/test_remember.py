"""What was measured once is read again, and only where it is the same and whole."""

import numpy as np
import pytest

from difffeat.base import remember
from difffeat.base.remember import remembered


@pytest.fixture
def measure():
    """A measurement that counts how often it was made."""

    class Measure:
        made = 0

        def __call__(self):
            self.made += 1
            return {"val": np.arange(3.0), "draws": np.full((2, 2), self.made)}

    return Measure()


WHAT = {"features": {"model": "a"}, "judged": ["mAP", 200, {"steps": 5}, None]}


def test_the_same_is_measured_once(tmp_path, measure):
    first, again = (remembered(tmp_path, WHAT, ["probing/stats.py"], measure) for _ in range(2))
    assert measure.made == 1
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])


@pytest.mark.parametrize(
    "other", [WHAT | {"judged": ["mAP", 200, {"steps": 6}, None]}, WHAT | {"features": {"model": "b"}}]
)
def test_anything_else_is_measured_anew(tmp_path, measure, other):
    remembered(tmp_path, WHAT, ["probing/stats.py"], measure)
    remembered(tmp_path, other, ["probing/stats.py"], measure)
    assert measure.made == 2


def test_other_code_measures_anew(tmp_path, measure, monkeypatch):
    remembered(tmp_path, WHAT, ["probing/stats.py"], measure)
    remembered(tmp_path, WHAT, ["probing/stats.py", "probing/probe.py"], measure)
    assert measure.made == 2
    (tmp_path / "probing").mkdir()
    (tmp_path / "probing/stats.py").write_text("changed")
    monkeypatch.setattr(remember, "PACKAGE", tmp_path)
    remember._hash_of.cache_clear()
    remembered(tmp_path, WHAT, ["probing/stats.py"], measure)
    remember._hash_of.cache_clear()
    assert measure.made == 3


@pytest.mark.parametrize(
    "damage", [lambda content: content[:40], lambda content: b"", lambda content: b"PK" * 99]
)
def test_a_damaged_file_is_made_again(tmp_path, measure, damage):
    remembered(tmp_path, WHAT, ["probing/stats.py"], measure)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    found = remembered(tmp_path, WHAT, ["probing/stats.py"], measure)
    assert measure.made == 2 and found["draws"][0, 0] == 2
    assert remembered(tmp_path, WHAT, ["probing/stats.py"], measure)["draws"][0, 0] == 2 and measure.made == 2


def test_a_flipped_bit_is_found(tmp_path, measure):
    remembered(tmp_path, WHAT, ["probing/stats.py"], measure)
    (path,) = tmp_path.glob("*.npz")
    content = bytearray(path.read_bytes())
    content[content.index(np.arange(3.0).tobytes()) + 12] ^= 1
    path.write_bytes(content)
    assert remembered(tmp_path, WHAT, ["probing/stats.py"], measure)["val"].tolist() == [0, 1, 2]
    assert measure.made == 2


def test_what_is_there_is_read_where_nothing_can_be_written(tmp_path, measure, monkeypatch):
    remembered(tmp_path, WHAT, ["probing/stats.py"], measure)

    def refuse(path):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(remember, "only_writer", refuse)
    assert (
        remembered(tmp_path, WHAT, ["probing/stats.py"], measure)["val"].tolist() == [0, 1, 2]
        and measure.made == 1
    )
