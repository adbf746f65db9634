"""Damage to any file of a cache ends in an error that names it, or changes no number."""

import damaged_caches
import numpy as np
import pytest
from damaged_caches import KINDS, SHARDS, VIEW

from difffeat.features import cache, views


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """(folder, its files) of a whole cache; each test leaves it whole."""
    folder = tmp_path_factory.mktemp("small")
    damaged_caches.write(folder)
    return folder, damaged_caches.contents(folder)


@pytest.mark.parametrize("late", [False, True], ids=["before open", "after open"])
@pytest.mark.parametrize(("kind", "name"), damaged_caches.damages(SHARDS[0], SHARDS[1], VIEW))
def test_damage_is_named_or_harmless(small, kind, name, late):
    for seed in range(5):
        random = np.random.default_rng([seed, KINDS.index(kind)])
        end, said = damaged_caches.tried(*small, kind, name, random, late)
        assert end in ("right", "clear"), said


def test_any_flipped_bit_of_the_view_is_named(small):
    folder, whole = small
    bits = np.random.default_rng(0).permutation(8 * len(whole[VIEW]))[:600]
    ends = [damaged_caches.flipped(folder, whole, bit) for bit in bits.tolist()]
    assert {end for end, _ in ends} == {"clear"}, [said for end, said in ends if end != "clear"]


def test_every_byte_of_a_seal_is_looked_at(small):
    folder, whole = small
    for byte in range(0, 2048, 7):
        content = bytearray(whole[SHARDS[1]])
        content[byte] ^= 0x10
        (folder / SHARDS[1]).write_bytes(content)
        end, said = damaged_caches.outcome(folder)
        damaged_caches.restore(folder, whole)
        assert end == "clear", (byte, said)


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_is_not_written_over_damage_or_does_not_hide_it(small, kind):
    folder, whole = small
    for seed in range(4):
        damaged_caches.damage(folder, kind, SHARDS[1], np.random.default_rng([seed, 1]))
        try:
            cache.attributes(folder / SHARDS[0])
            cache.missing(folder / VIEW)
            views.view_is_current(folder, "val")
            views.write_view(folder, "val")
            end, said = damaged_caches.outcome(folder)
        except cache.CacheError as error:
            end, said = "clear", str(error)
        damaged_caches.restore(folder, whole)
        assert end in (("silent",) if kind == "replaced" else ("right", "clear")), said
