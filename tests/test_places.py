"""Places inside blocks: read in the pass of the outputs, kept in the same caches, probed, searched alike."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tiny
import torch

from difffeat.features import cache, extract, layout, parts, schedule
from difffeat.features.points import Point, points_of
from difffeat.features.recipe import Recipe, location
from difffeat.probing import grid, search
from difffeat.probing.pairs import Pairs
from difffeat.show import plots

PLACES = ("attention", "hidden", "mlp", "out")
RECIPE = Recipe(blocks=[1, 2], timesteps=[0, 30], noising="mean", places=PLACES)
HALF = {"rtol": 2e-3, "atol": 2e-3}
# What of a block of either model puts out a place, written down again and not taken from it.
MODULES = {
    "image": {"attention": "attn1", "hidden": "ff.net.0", "mlp": "ff", "out": ""},
    "text": {"attention": "attn_out", "hidden": "mlp.gelu", "mlp": "mlp.fc2", "out": ""},
}


@pytest.fixture
def splits(tmp_path):
    (tmp_path / "images").mkdir()
    return {
        part: tiny.split(count, folder=tmp_path / "images", name=part, first=1000 * place)
        for place, (part, count) in enumerate({"train": 24, "val": 17, "test": 19}.items())
    }


def by_hand(model, z, timestep, block, place):
    """What a module puts out in a pass of its own, mean over tokens."""
    seen = []
    module = model.blocks[block - 1].get_submodule(MODULES[model.modality][place])
    hook = module.register_forward_hook(lambda _, inputs, output: seen.append(output))
    model.states(z, timestep, [model.depth])
    hook.remove()
    (output,) = seen
    return output.mean(dim=1).numpy()


@pytest.mark.parametrize("make", [tiny.dit, tiny.plaid])
def test_all_places_of_one_pass_are_what_a_hook_by_hand_gives(splits, tmp_path, make):
    model, split = make(), splits["val"]
    passes, run = [], model.run_block
    model.run_block = lambda index, *given: passes.append(index) or run(index, *given)
    found = extract.features(split, model, RECIPE, root=tmp_path, batch_size=len(split))
    assert passes == [0, 1, 0, 1]  # one pass for each timestep, which stops at the deepest block
    images = model.modality == "image"
    inputs = [split.image(row) for row in range(len(split))] if images else split.captions
    clean = model.latents(inputs).z
    for timestep in RECIPE.timesteps:
        z = schedule.noised(clean, timestep, "mean", model.schedule)
        for block in RECIPE.blocks:
            for place in PLACES:
                expected = by_hand(model, z, timestep, block, place)
                read = found.read((timestep, block, place))
                assert read.shape == (len(split), model.width * (4 if place == "hidden" else 1))
                np.testing.assert_allclose(read, expected, **HALF)
    assert found.points == points_of([1, 2], [0, 30], PLACES) and cache.verify(found.path).ids.size
    with h5py.File(found.path) as view:
        assert view["b02/hidden/t0030"].shape == (len(split), 4 * model.width)
        assert view["b02/t0030"].shape == (len(split), model.width)


def test_a_place_not_asked_for_takes_no_hook_and_one_asked_for_leaves_none(splits, tmp_path):
    model = tiny.dit()
    hooks = [len(module._forward_hooks) for module in model.modules()]
    z = torch.randn(2, *model.latent_shape)
    # Of each block with a place inside, one on what puts it out and one on the block.
    for places, many in ((["out"], 0), (["out", "mlp"], 4)):
        run = model.activations(z, 0, [1, 3], places)
        assert [next(run)[:2] for _ in places] == [(1, place) for place in places]
        assert sum(len(module._forward_hooks) for module in model.modules()) - sum(hooks) == many
        assert len(list(run)) == len(places)
        assert [len(module._forward_hooks) for module in model.modules()] == hooks


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            dict(places=["out", "head"]),
            "unknown place 'head': dit-tiny has out, q, k, v, attention, .* mlp-increment in a",
        ),
        (dict(blocks=[0, 1]), "block 0 is the embedding and has no inside"),
        (dict(places=[]), "places must be a list with at least one name"),
        (dict(places="mlp"), "places must be a list with at least one name"),
    ],
)
def test_a_place_that_is_not_there_is_refused(splits, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        extract.extract(splits["val"], tiny.dit(), replace(RECIPE, **changes), folder=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_compiled_blocks_hide_their_inside(splits, tmp_path):
    model = tiny.dit()
    model.blocks[1].compile(backend="eager")
    assert Recipe([1, 2], [0]).of(splits["val"], model)  # outputs are there
    with pytest.raises(ValueError, match="was compiled, .*compiled=False"):
        RECIPE.of(splits["val"], model)


def test_outputs_alone_are_identified_as_before_there_were_places():
    """The folder that the code before them gave these very features: caches of that time still serve."""
    plan = Recipe(blocks=[2, 1], timesteps=[30, 0], seed=4).of(tiny.split(5), tiny.plaid())
    assert location("x", plan) == Path("x/plaid-tiny-tiny-val-e8eeb499feb0/f992ad8dd756")
    inside = Recipe(blocks=[2, 1], timesteps=[30, 0], seed=4, places=["mlp"]).of(tiny.split(5), tiny.plaid())
    assert location("x", inside).parent == location("x", plan).parent
    assert location("x", inside) != location("x", plan)


def test_a_cache_with_more_places_serves_and_one_with_fewer_does_not(splits, tmp_path):
    model, split = tiny.plaid(), splits["val"]
    whole = extract.features(split, model, RECIPE, root=tmp_path)
    narrow = extract.features(split, model, replace(RECIPE, places=["mlp", "out"]), root=tmp_path)
    plain = extract.features(split, model, replace(RECIPE, places=["out"]), root=tmp_path)
    assert narrow.path == plain.path == whole.path and narrow.places == ("mlp", "out")
    assert narrow.stack(place="mlp").shape == (4, len(split), model.width)
    with pytest.raises(ValueError, match="place hidden is not in .*; it holds places mlp, out"):
        narrow.read((0, 1, "hidden"))
    with pytest.raises(ValueError, match="place mlp is not in .*; it holds places out"):
        plain.read(Point(0, 1, "mlp"))
    alone = extract.features(split, model, replace(RECIPE, places=["out"]), root=tmp_path / "alone")
    np.testing.assert_array_equal(alone.stack(), plain.stack())
    more = extract.features(split, model, RECIPE, root=tmp_path / "alone")
    assert more.path != alone.path


def test_an_interrupted_extraction_goes_on(splits, tmp_path):
    model, split, how = tiny.plaid(), splits["train"], dict(batch_size=4, shard_size=8)
    extract.extract(split, model, RECIPE, folder=tmp_path / "whole", **how)
    passes, run = [], model.activations

    def stopping(*given, **told):
        passes.append(given)
        if len(passes) == 7:
            raise KeyboardInterrupt
        return run(*given, **told)

    model.activations = stopping
    with pytest.raises(KeyboardInterrupt, match="1 of 3 shards"):
        extract.extract(split, model, RECIPE, folder=tmp_path / "again", **how)
    passes.clear()
    passes += [None] * 7
    extract.extract(split, model, RECIPE, folder=tmp_path / "again", **how)
    assert len(passes) == 7 + 2 * 4  # the two shards that were missing, two batches of two timesteps each
    for path in (tmp_path / "whole").rglob("*.h5"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_a_shard_without_a_readable_picture_is_as_wide_as_the_others(splits, tmp_path):
    split = splits["val"]
    for path in split.images[:8]:
        path.write_bytes(b"broken")
    how = dict(root=tmp_path, on_broken="skip", shard_size=8)
    with pytest.warns(UserWarning, match="8 of 17 images"):
        found = extract.features(split, tiny.dit(), RECIPE, **how)
    assert found.read((30, 2, "hidden")).shape == (9, 64) and found.read((30, 2)).shape == (9, 16)


def test_points_of_all_places_are_probed_and_the_best_is_one_of_them(splits, tmp_path):
    model, how = tiny.dit(), dict(root=tmp_path / "features", resamples=20, probing=dict(epochs=2))
    whole = grid.measure(splits, model, RECIPE, **how)
    assert whole.places == PLACES and whole.values.shape == (2, 8)
    assert whole.best == whole.points[int(whole.val.mean(axis=0).argmax())]
    assert whole.at(*whole.best).value == whole.values.flat[whole.val.mean(axis=0).argmax()]
    for place in PLACES:
        part = grid.measure(splits, model, replace(RECIPE, places=[place]), **how)
        cut = whole.at_place(place)
        assert cut.places == part.places == (place,) and cut.blocks == (1, 2)
        for name in ("val", "test", "draws", "val_draws"):
            np.testing.assert_array_equal(getattr(cut, name), getattr(part, name))
        np.testing.assert_array_equal(cut.by_label["AP"], part.by_label["AP"])
        assert whole.at(30, 2, place).value == part.at(30, 2, place).value == part.values[1, 1]
    with pytest.raises(ValueError, match="a map shows one place, not attention, hidden, mlp, out"):
        plots.heatmap(whole)
    assert "2 blocks (1 to 2)" in plots.heatmap(whole.at_place("mlp")).alt
    with pytest.raises(ValueError):
        whole.at(30, 3)
    with pytest.raises(ValueError):
        whole.at_place("head")


def test_pairs_of_any_places_are_fused_and_searched(splits, tmp_path):
    recipe = replace(RECIPE, places=["out", "hidden"])
    images, texts = (
        [parts.features(splits, model, recipe, root=tmp_path)] for model in (tiny.dit(), tiny.plaid())
    )
    fused = Pairs(splits, images, texts, d_align=4, epochs=1, resamples=5, root=tmp_path / "features")
    pairs = [((0, 1), (0, 1)), ((0, 1, "hidden"), (30, 2)), ((0, 1), (0, 1, "hidden"))]
    together = fused(pairs)
    assert len(fused.measured) == 3
    for pair, value in zip(pairs, together, strict=True):
        alone = Pairs(splits, images, texts, d_align=4, epochs=1, resamples=5)
        assert alone([pair]) == pytest.approx([value], abs=1e-6)
    sides = dict(places_i=["out", "hidden"], places_t=["out"])
    ranks = {point: rank for rank, point in enumerate(points_of([1, 2], [0, 30], ["out", "hidden"]))}
    found = search.local_search(
        lambda points: [ranks[point] for point in points],
        lambda points: [-ranks[point] for point in points],
        fused, [1, 2], [0, 30], [1, 2], [0, 30], **sides,
    )  # fmt: skip
    assert found.best_image == (30, 2, "hidden") and found.best_text == (0, 1)
    assert {pair[0].place for pair in found.evaluated[-9:]} == {"hidden"}
    assert found.evaluations == {"image": 8, "text": 4, "fusion": 9}
    assert found.history["image_place"].tolist()[:2] == ["out", "hidden"]
    full = search.full_search(fused, [1, 2], [0, 30], [1, 2], [0, 30], **sides)
    assert full.total == 32 and search.regret(found, full) >= 0


# Pooling.


def test_tokens_that_are_not_pooled_come_as_they_are(splits, tmp_path):
    model, split = tiny.dit(), splits["val"]
    recipe = Recipe(blocks=[1, 3], timesteps=[30], noising="mean", pooling="none", places=["out", "hidden"])
    found = extract.features(split, model, recipe, root=tmp_path, batch_size=5, shard_size=8)
    z = model.latents([split.image(row) for row in range(len(split))]).z
    states = model.states(schedule.noised(z, 30, "mean", model.schedule), 30, [1, 3])
    for block, tokens in states.items():
        np.testing.assert_allclose(found.read((30, block)), tokens.numpy(), **HALF)
    assert found.read((30, 3, "hidden")).shape == (17, 16, 64) and found.stack().shape == (2, 17, 16, 16)
    assert cache.verify(found.path).ids.size == 17
    with h5py.File(found.path) as view:
        np.testing.assert_array_equal(view["b03/t0030"][()].astype(np.float32), found.read((30, 3)))
    with pytest.raises(ValueError, match="a probe takes pooled features"):
        grid.measure(splits, model, recipe, root=tmp_path)


def test_damaged_tokens_are_refused(splits, tmp_path):
    recipe = Recipe(blocks=[1], timesteps=[30], noising="mean", pooling="none")
    found = extract.features(splits["val"], tiny.plaid(), recipe, root=tmp_path)
    shard = layout.shard_path(found.path.parent, "val", 0, 17)
    content = bytearray(shard.read_bytes())
    content[-5] ^= 1
    shard.write_bytes(content)
    with pytest.raises(cache.CacheError, match="a checksum of b01/t0030 does not hold"):
        found.read((30, 1))


def test_quadrants_are_the_means_of_the_four_quarters_of_the_picture(splits, tmp_path):
    model, split = tiny.dit(), splits["val"]
    recipe = Recipe(blocks=[2], timesteps=[30], noising="mean")
    whole, quarters, tokens = (
        extract.features(split, model, replace(recipe, pooling=pooling), root=tmp_path).read((30, 2))
        for pooling in ("mean", "quadrants", "none")
    )
    square = tokens.reshape(17, 4, 4, 16)  # rows of the picture, then columns
    corners = [
        square[:, rows, columns] for rows in (slice(2), slice(2, 4)) for columns in (slice(2), slice(2, 4))
    ]
    expected = np.concatenate([corner.mean(axis=(1, 2)) for corner in corners], axis=1)
    np.testing.assert_allclose(quarters, expected, **HALF)
    np.testing.assert_allclose(quarters.reshape(17, 4, 16).mean(axis=1), whole, **HALF)


def test_quadrants_take_a_square_of_even_side_of_a_picture(splits, tmp_path):
    recipe = Recipe(blocks=[1], timesteps=[0], pooling="quadrants")
    with pytest.raises(ValueError, match="'quadrants' cuts a square of tokens, which only images have"):
        recipe.of(splits["val"], tiny.plaid())
    for side in (1, 3):
        model = tiny.dit()
        model.activations = lambda *given, pool, side=side, **told: iter(
            [(1, "out", pool(torch.zeros(1, side**2, 16)))]
        )
        with pytest.raises(ValueError, match=f"a square of tokens with an even side, found {side**2}"):
            extract.features(splits["val"], model, recipe, root=tmp_path / str(side))
