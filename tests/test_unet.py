"""U-Nets: activations by their published ids, what a hook by hand gives, one pass, one of them in memory."""

import re
import threading
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from diffusers import UNet2DConditionModel, UNet2DModel

from difffeat.backbones.stable_diffusion import SHAPES
from difffeat.backbones.streamed import streamed
from difffeat.backbones.unet import Prompt, UNet
from difffeat.backbones.unet_places import as_map, places_of, steps_of
from difffeat.features import cache, extract, schedule
from difffeat.features.points import points_of
from difffeat.features.recipe import Recipe
from difffeat.probing import grid

HALF = {"rtol": 2e-3, "atol": 2e-3}
EXACT = {"rtol": 1e-5, "atol": 1e-6}
QUERY = "up-level1-repeat1-vit-block0-cross-q"
SUM = "up-level1-repeat0-res-out"
PICKS = [QUERY, SUM, "down-level0-repeat0-vit-block0-self-k", "mid-repeat1-res-out", "unet-out"]
RECIPE = Recipe(blocks=[0], timesteps=[0, 51], noising="mean", places=PICKS)


# The names.


def published(down, middle, up):
    """The published ids, from what a paper's table of the network says: (residual modules, blocks of each
    transformer) of every level; 0 blocks for none."""

    def vit(lead, blocks):
        inner = "self-q self-k self-v self-map cross-q cross-map ffn-inner out".split()
        named = [f"{lead}-block{block}-{what}" for block in range(blocks) for what in inner]
        return [*named, f"{lead}-out"] if blocks else []

    found = ["unet-in", "unet-after-conv-in", "unet-out"]
    for way, levels, sampler in (("down", down, "downsampler"), ("up", up, "upsampler")):
        for level, (repeats, blocks) in enumerate(levels):
            for repeat in range(repeats):
                lead = f"{way}-level{level}-repeat{repeat}"
                found += [f"{lead}-res-increment", f"{lead}-res-out", *vit(f"{lead}-vit", blocks)]
            found += [f"{way}-level{level}-{sampler}-out"] if level < len(levels) - 1 else []
    for repeat in range(2):
        found += [f"mid-repeat{repeat}-res-increment", f"mid-repeat{repeat}-res-out"]
    return found + vit("mid-vit", middle)


@pytest.mark.parametrize(
    ("name", "count", "table", "depth"),
    [
        ("sd-1.5", 197, ([(2, 1)] * 3 + [(2, 0)], 1, [(3, 0)] + [(3, 1)] * 3), 28),
        ("sdxl-1.0", 612, ([(2, 0), (2, 2), (2, 10)], 10, [(3, 10), (3, 2), (3, 0)]), 21),
    ],
)
def test_a_model_lists_all_that_is_published_of_it(name, count, table, depth):
    with torch.device("meta"):  # the true shape, without its memory
        network = UNet2DConditionModel(**SHAPES[name])
    listed = list(places_of(network))
    assert len(listed) == count and set(listed) == set(published(*table))
    steps = steps_of(network)
    assert len(steps) == depth and steps[0].name == "down-level0-repeat0"
    assert steps[-1].name == f"up-level{len(table[2]) - 1}-repeat2"


@pytest.mark.parametrize(
    ("name", "picks", "channels"),
    [
        (
            "sd-1.5",
            [QUERY, "up-level1-repeat2-res-out", QUERY.replace("level1", "level2"),
             "up-level3-repeat0-vit-block0-self-k"],
            [1280, 1280, 640, 320],
        ),
        (
            "sdxl-1.0",
            [*(f"up-level0-repeat0-vit-block{block}-out" for block in (7, 5)),
             *(f"up-level1-repeat0-vit-block0-{what}" for what in ("cross-q", "out"))],
            [1280, 1280, 640, 640],
        ),
    ],
)  # fmt: skip
def test_the_published_picks_are_as_wide_as_published(name, picks, channels):
    """3520 and 3840 channels; on the meta device, where a network of this size runs without memory."""
    with torch.device("meta"):
        network = UNet2DConditionModel(**SHAPES[name])
        width, pooled = network.config.cross_attention_dim, None
        if network.config.addition_embed_type:
            pooled = torch.empty(1, 1280)
        model = UNet(network, prompt=Prompt("", torch.empty(1, 77, width), pooled), image_side=64).eval()
        z = torch.empty(1, 4, 16, 16)
    found = {place: tokens.shape for _, place, tokens in model.activations(z, 50, [0], picks)}
    assert [found[pick][2] for pick in picks] == channels


# What is read.


def by_hand(network, name):
    """The tensor that an id means, by a hook on a module that is found by the id's own words."""
    way = re.fullmatch(r"(?:(down|up)-level(\d)|(mid))(?:-repeat(\d))?-(.*)", name)
    if way is None:
        module, rest = network.conv_out if name == "unet-out" else network.conv_in, name
    else:
        level = getattr(network, f"{way[1]}_blocks")[int(way[2])] if way[1] else network.mid_block
        repeat, rest = int(way[4] or 0), way[5]
        kind = rest.split("-")[0]
        module = (
            level.resnets[repeat]
            if kind == "res"
            else level.attentions[repeat]
            if kind == "vit"
            else getattr(level, f"{kind}s")[0]
        )
    block = re.search(r"vit-block(\d)-(.*)", rest)
    if block:
        module = module.transformer_blocks[int(block[1])]
        kind, _, part = block[2].partition("-")
        attention = {"self": module.attn1, "cross": module.attn2}.get(kind)
        module = module.ff.net[0] if kind == "ffn" else module
        if part == "map":
            return [attention.to_q, attention.to_k], lambda q, k: a_map(attention, q[1], k[1])
        module = module if attention is None else getattr(attention, f"to_{part}")
    if rest == "res-increment":
        module = module.conv2
    return [module], lambda seen: seen[0][0] if name == "unet-in" else seen[1]


def a_map(attention, query, key):
    """The map as diffusers itself has it in its plain processor, mean of the heads."""
    query, key = attention.head_to_batch_dim(query), attention.head_to_batch_dim(key)
    scores = attention.get_attention_scores(query, key)  # (N heads, T, S)
    return scores.unflatten(0, (-1, attention.heads)).mean(dim=1)


def test_every_place_of_one_pass_is_what_a_hook_by_hand_gives():
    model = tiny.unet()
    z, told = torch.randn(3, 4, 4, 4), torch.full((3,), 51)
    outputs, passes = {}, []
    model.network.register_forward_pre_hook(lambda *_: passes.append(1))
    read = {place: tokens for _, place, tokens in model.activations(z, 51, [0], list(model.places))}
    assert len(passes) == 1 and list(read) == list(model.places) and len(read) == 57
    for name, tokens in read.items():
        modules, made = by_hand(model.network, name)
        hooks = [
            module.register_forward_hook(
                lambda module, inputs, output, key=key: outputs.__setitem__(key, (inputs, output))
            )
            for key, module in enumerate(modules)
        ]
        with torch.inference_mode():
            model(z, told)
            expected = made(*(outputs[key] for key in range(len(modules))))
        for hook in hooks:
            hook.remove()
        expected = expected[0] if isinstance(expected, tuple) else expected
        found = as_map(tokens) if expected.ndim == 4 else tokens
        torch.testing.assert_close(found, expected, **EXACT)


def test_blocks_are_the_outputs_of_the_steps_in_order():
    model = tiny.unet()
    z = torch.randn(2, 4, 4, 4)
    ends = [
        "unet-after-conv-in", "down-level0-repeat0-vit-out", "down-level0-downsampler-out",
        "down-level1-repeat0-res-out", "mid-vit-out", "mid-repeat1-res-out", "up-level0-repeat0-res-out",
        "up-level0-repeat1-res-out", "up-level0-upsampler-out", "up-level1-repeat0-vit-out",
        "up-level1-repeat1-vit-out",
    ]  # fmt: skip
    assert model.depth == len(ends) - 1
    states = model.states(z, 30, range(model.depth + 1))
    ids = {place: tokens for _, place, tokens in model.activations(z, 30, [0], ends)}
    for block, end in enumerate(ends):
        assert torch.equal(states[block], ids[end])


def test_a_model_without_a_prompt_is_read_alike():
    torch.manual_seed(0)
    network = UNet2DModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(16, 32), layers_per_block=1,
        norm_num_groups=8, attention_head_dim=8, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    model = UNet(network).eval()
    z, seen = torch.randn(2, 4, 8, 8), []
    read = {place: tokens for _, place, tokens in model.activations(z, 30, [0], list(model.places))}
    assert set(read) == set(model.places) and "mid-vit-block0-self-map" in read
    attention = network.mid_block.attentions[0]
    attention.to_v.register_forward_hook(lambda module, inputs, output: seen.append(output))
    attention.register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.inference_mode():
        model(z, torch.full((2,), 30))
    assert torch.equal(read["mid-vit-block0-self-v"], seen[0])
    assert torch.equal(as_map(read["mid-vit-out"]), seen[1])
    assert torch.allclose(read["mid-vit-block0-self-map"].sum(dim=2), torch.ones(2, 16))


# What it costs.


def test_a_pass_stops_at_the_last_place_and_leaves_nothing_behind():
    model = tiny.unet()
    ran, z = [], torch.randn(1, 4, 4, 4)
    for way in ("down_blocks", "up_blocks"):
        for level in getattr(model.network, way):
            level.register_forward_pre_hook(lambda *_, way=way: ran.append(way))
    processors = dict(model.network.attn_processors)
    before = [len(module._forward_hooks) for module in model.modules()]
    run = model.activations(z, 30, [0], ["down-level0-repeat0-res-out", "down-level1-repeat0-res-out"])
    assert next(run)[1] == "down-level0-repeat0-res-out"
    assert sum(len(module._forward_hooks) for module in model.modules()) - sum(before) == 2
    assert ran == ["down_blocks"]  # it waits there
    assert [place for _, place, _ in run] == ["down-level1-repeat0-res-out"]
    assert ran == ["down_blocks"] * 2
    assert [len(module._forward_hooks) for module in model.modules()] == before
    assert model.network.attn_processors == processors


def test_a_reader_that_stops_early_ends_the_pass():
    model = tiny.unet()
    threads = threading.active_count()
    run = model.activations(torch.randn(1, 4, 4, 4), 30, [0], list(model.places))
    next(run)
    assert threading.active_count() == threads + 1
    run.close()
    assert threading.active_count() == threads
    assert not sum(len(module._forward_hooks) for module in model.modules())


def test_what_runs_and_who_reads_take_turns():
    turns = []

    def run(emit):
        for thing in range(3):
            turns.append(f"make {thing}")
            emit(thing)
        turns.append("end")

    for thing in streamed(run):
        turns.append(f"read {thing}")
    assert turns == "make 0,read 0,make 1,read 1,make 2,read 2,end".split(",")


def test_an_error_of_what_runs_reaches_the_reader():
    def run(emit):
        emit(1)
        raise ValueError("broken")

    things = streamed(run)
    assert next(things) == 1
    with pytest.raises(ValueError, match="broken"):
        next(things)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_lower_precision_gives_nearly_the_same(precision):
    model, z = tiny.unet(), torch.randn(4, 4, 4, 4)
    (exact,) = [tokens for *_, tokens in model.activations(z, 30, [0], [QUERY])]
    (low,) = [tokens.float() for *_, tokens in model.run_in(precision).activations(z, 30, [0], [QUERY])]
    assert not torch.equal(low, exact)
    assert torch.nn.functional.cosine_similarity(low.flatten(1), exact.flatten(1)).min() > 0.999


# What is refused.


@pytest.mark.parametrize(
    ("block", "place", "message"),
    [
        (0, "up-level1-repeat1-vit-block0-cross-k", f"unknown place .*57 in its `places`, as {QUERY}"),
        (3, QUERY, f"{QUERY} says itself where it lies: name block 0"),
        (11, "out", "block 11 is out of range: unet-tiny has blocks 0 .* to 10"),
    ],
)
def test_a_place_that_is_not_there_is_refused(block, place, message):
    with pytest.raises(ValueError, match=message):
        list(tiny.unet().activations(torch.randn(1, 4, 4, 4), 30, [block], [place]))


def test_fused_projections_are_refused_where_they_matter():
    model, z = tiny.unet(), torch.randn(1, 4, 4, 4)
    model.network.fuse_qkv_projections()
    for place in (QUERY, QUERY.replace("cross-q", "self-map")):
        with pytest.raises(ValueError, match="are fused into one product; call `unfuse_qkv_projections"):
            list(model.activations(z, 30, [0], [place]))
    assert list(model.activations(z, 30, [0], ["mid-repeat0-res-out"]))
    model.network.unfuse_qkv_projections()
    assert list(model.activations(z, 30, [0], [QUERY]))


def test_what_was_compiled_is_refused():
    model = tiny.unet()
    model.blocks[3].compile(backend="eager")
    with pytest.raises(ValueError, match="mid_block.attentions.0 was compiled, .*`compiled=False`"):
        list(model.activations(torch.randn(1, 4, 4, 4), 30, [0], ["mid-vit-block0-self-q"]))


def test_a_processor_that_does_without_a_module_is_told_of():
    model = tiny.unet()
    attention = model.network.mid_block.attentions[0].transformer_blocks[0].attn1
    attention.set_processor(lambda layer, tokens, **_: layer.to_out[0](layer.to_v(tokens)))
    with pytest.raises(RuntimeError, match="without coming by mid-vit-block0-self-q of block 0"):
        list(model.activations(torch.randn(1, 4, 4, 4), 30, [0], ["mid-vit-block0-self-q"]))


def test_a_prompt_must_be_as_wide_as_the_network_takes():
    network = tiny.unet().network
    for prompt, came in ((None, "none came"), (Prompt("", torch.zeros(1, 5, 9)), "one 9 wide came")):
        with pytest.raises(ValueError, match=f"takes a prompt 8 wide; {came}"):
            UNet(network, prompt=prompt)


# Features of it.


@pytest.fixture
def splits(tmp_path):
    (tmp_path / "images").mkdir()
    return {
        part: tiny.split(count, folder=tmp_path / "images", name=part, first=1000 * place)
        for place, (part, count) in enumerate({"train": 24, "val": 17, "test": 19}.items())
    }


def test_any_ids_make_features_in_caches_that_are_read_back(splits, tmp_path):
    model, split = tiny.unet(), splits["val"]
    found = extract.features(split, model, RECIPE, root=tmp_path, batch_size=5, shard_size=8)
    assert set(found.points) == set(points_of([0], [0, 51], PICKS)) and cache.verify(found.path).ids.size
    clean = model.latents([split.image(row) for row in range(len(split))]).z
    for timestep in RECIPE.timesteps:
        z = schedule.noised(clean, timestep, "mean", model.schedule)
        for _, place, tokens in model.activations(z, timestep, [0], PICKS):
            read = found.read((timestep, 0, place))
            np.testing.assert_allclose(read, tokens.mean(dim=1).numpy(), **HALF)
    assert [found.read((0, 0, place)).shape[1] for place in PICKS] == [16, 16, 16, 32, 4]
    narrow = replace(RECIPE, places=[QUERY], timesteps=[51])
    assert extract.features(split, model, narrow, root=tmp_path).path == found.path


def test_tokens_of_any_id_come_as_they_are_and_make_maps(splits, tmp_path):
    model, split = tiny.unet(), splits["val"]
    recipe = replace(RECIPE, timesteps=[51], pooling="none")
    found = extract.features(split, model, recipe, root=tmp_path)
    tokens = torch.from_numpy(found.read((51, 0, SUM)))
    assert tokens.shape == (17, 16, 16) and as_map(tokens).shape == (17, 16, 4, 4)
    assert found.read((51, 0, QUERY)).shape == (17, 16, 16)
    z = model.latents([split.image(row) for row in range(17)]).z
    z = schedule.noised(z, 51, "mean", model.schedule)
    seen = []
    model.network.up_blocks[1].resnets[0].register_forward_hook(lambda *given: seen.append(given[2]))
    with torch.inference_mode():
        model(z, torch.full((17,), 51))
    torch.testing.assert_close(as_map(tokens), seen[0], **HALF)
    with pytest.raises(ValueError, match="a square of tokens, found 15"):
        as_map(tokens[:, :15])


def test_an_interrupted_extraction_goes_on(splits, tmp_path):
    model, split, how = tiny.unet(), splits["train"], dict(batch_size=4, shard_size=8)
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
    passes.extend([None] * 7)
    extract.extract(split, model, RECIPE, folder=tmp_path / "again", **how)
    for path in (tmp_path / "whole").rglob("*.h5"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_blocks_of_several_widths_are_kept_and_those_of_one_width_probed(splits, tmp_path):
    model = tiny.unet()
    recipe = Recipe(blocks=[1, 4, 9], timesteps=[30], noising="mean")
    found = extract.features(splits["val"], model, recipe, root=tmp_path)
    assert [found.read((30, block)).shape[1] for block in recipe.blocks] == [16, 32, 16]
    how = dict(root=tmp_path, resamples=10, probing=dict(epochs=1))
    one = grid.measure(splits, tiny.unet(widths=(16, 16)), recipe, **how)
    assert one.values.shape == (1, 3)
    ids = grid.measure(splits, model, RECIPE, **how)
    assert ids.values.shape == (2, 5) and ids.best.place in PICKS


def test_the_hash_follows_prompt_levels_and_weights():
    model = tiny.unet()
    same, first = tiny.unet(), model.identity()
    assert same.identity() == first
    same.schedule = schedule.DDPM(power=0.5)
    assert same.identity() != first
    other = tiny.unet()
    other.context.zero_()
    assert other.identity() not in (first, same.identity())


@torch.inference_mode()
def test_the_clean_estimate_undoes_what_the_network_says():
    model = tiny.unet()
    z, told = torch.randn(2, 4, 4, 4), torch.full((2,), 300)
    alpha, sigma = model.schedule.alpha_sigma(300)
    said = model(z, told)
    torch.testing.assert_close(alpha * model.predict(z, 300) + sigma * said, z, rtol=1e-4, atol=1e-5)
    model.prediction = "v_prediction"
    noise = alpha * said + sigma * z
    torch.testing.assert_close(alpha * model.predict(z, 300) + sigma * noise, z, rtol=1e-4, atol=1e-5)
