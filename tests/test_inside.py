"""Every place inside a block is what a hook by hand, or the model's own formula, gives."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import tiny
import torch
from diffusers.models.attention_processor import FusedAttnProcessor2_0
from torch.nn import functional

from difffeat.backbones import places
from difffeat.backbones.taps import tap
from difffeat.features import extract
from difffeat.features.pooling import areas
from difffeat.features.recipe import Recipe

BLOCK = 2
INCREMENTS = ("attention-increment", "mlp-increment")
STATISTICS = ("attention-entropy", "attention-distance")


@pytest.fixture(params=[tiny.dit, tiny.plaid])
def backbone(request):
    return request.param()


def noisy(model, count=3):
    torch.manual_seed(1)
    return torch.randn(count, *model.latent_shape)


def seen(model, names, timestep=30):
    """{name: what a module of the block puts out}, by hooks of its own; the block's input under ""."""
    found, block = {}, model.blocks[BLOCK - 1]

    def keep(name):
        return lambda module, inputs, output: found.update({name: output})

    hooks = [block.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    hooks.append(block.register_forward_pre_hook(lambda _, inputs: found.update({"": inputs[0]})))
    model.states(noisy(model), timestep, [BLOCK])
    for hook in hooks:
        hook.remove()
    return found


def read(model, wanted, timestep=30, **told):
    run = model.activations(noisy(model), timestep, [BLOCK], wanted, **told)
    return {place: tokens for _, place, tokens in run}


def projections(model):
    """Queries, keys and values of the block as a hook by hand sees them."""
    if model.modality == "text":
        return seen(model, ["attn_qkv"])["attn_qkv"].split(model.width, dim=-1)
    found = seen(model, ["attn1.to_q", "attn1.to_k", "attn1.to_v"])
    return [found[f"attn1.to_{part}"] for part in "qkv"]


def test_queries_keys_and_values(backbone):
    found = read(backbone, ["q", "k", "v"])
    for place, expected in zip("qkv", projections(backbone), strict=True):
        assert torch.equal(found[place], expected) and expected.shape[2] == backbone.width
    assert not torch.equal(found["q"], found["k"]) and not torch.equal(found["k"], found["v"])


def test_increments_are_what_is_added_to_the_stream(backbone):
    """Both together are what the block adds; the first is what the stream has grown by when its MLP reads."""
    norm = "norm3" if backbone.modality == "image" else "rmsnorm2"
    middle, block = [], backbone.blocks[BLOCK - 1]
    hook = block.get_submodule(norm).register_forward_pre_hook(lambda _, inputs: middle.append(inputs[0]))
    before = seen(backbone, [])[""]
    hook.remove()
    found = read(backbone, [*INCREMENTS, "out", "attention", "mlp"])
    torch.testing.assert_close(before + found["attention-increment"], middle[0])
    torch.testing.assert_close(middle[0] + found["mlp-increment"], found["out"])
    for name in ("attention", "mlp"):  # before the gate it is something else
        assert not torch.allclose(found[name], found[f"{name}-increment"])


def by_the_formula(model):
    """Attention maps (N, h, T, T) of the block, one head, query and key after another."""
    query, key, _ = (part.double() for part in projections(model))
    count = 2  # heads of a tiny model
    maps = torch.zeros(len(query), count, query.shape[1], query.shape[1], dtype=torch.float64)
    size = model.width // count
    for head in range(count):
        q, k = (part[..., head * size : (head + 1) * size] for part in (query, key))
        if model.modality == "text":
            q, k = turned(q), turned(k)
        for i in range(q.shape[1]):
            scores = torch.stack([(q[:, i] * k[:, j]).sum(dim=-1) for j in range(k.shape[1])], dim=-1)
            maps[:, head, i] = torch.softmax(scores / size**0.5, dim=-1)
    return maps


def turned(tokens):
    """Rotary positions as complex numbers: pair (i, i + half) of position t times exp(i t rate)."""
    half = tokens.shape[-1] // 2
    pairs = torch.complex(tokens[..., :half], tokens[..., half:])
    rate = 10_000 ** (-torch.arange(half, dtype=torch.float64) / half)
    angles = torch.outer(torch.arange(tokens.shape[1], dtype=torch.float64), rate)
    moved = pairs * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([moved.real, moved.imag], dim=-1)


def test_statistics_of_attention_are_those_of_its_map(backbone):
    maps = by_the_formula(backbone)  # (N, h, T, T)
    found = read(backbone, STATISTICS)
    entropy = -(maps * maps.log()).sum(dim=-1).mT
    torch.testing.assert_close(found["attention-entropy"].double(), entropy, rtol=1e-4, atol=1e-5)
    if backbone.modality == "image":
        where = [(row, column) for row in range(4) for column in range(4)]
        apart = [[np.hypot(a - c, b - d) for c, d in where] for a, b in where]
    else:
        apart = [[abs(a - b) for b in range(6)] for a in range(6)]
    distance = (maps * torch.tensor(apart)).sum(dim=-1).mT
    torch.testing.assert_close(found["attention-distance"].double(), distance, rtol=1e-4, atol=1e-5)
    assert found["attention-distance"].shape == (3, maps.shape[-1], 2)


def test_the_map_that_is_computed_again_is_the_one_that_ran(backbone):
    """Weights times values, through the output projection, are the output of the model's own attention."""
    heads = backbone.blocks[BLOCK - 1].attn1.heads if backbone.modality == "image" else 2
    value = places.heads(projections(backbone)[2], heads).double()
    mixed = (by_the_formula(backbone) @ value).transpose(1, 2).flatten(2).float()
    block = backbone.blocks[BLOCK - 1]
    last = block.attn1.to_out[0] if backbone.modality == "image" else block.attn_out
    torch.testing.assert_close(last(mixed), read(backbone, ["attention"])["attention"], rtol=1e-4, atol=1e-5)


def test_keys_that_are_not_seen_are_attended_by_no_token():
    model = tiny.plaid()
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4, [True] + [False] * 5])
    found = read(model, STATISTICS, mask=mask)
    torch.testing.assert_close(found["attention-entropy"][2], torch.zeros(6, 2), atol=1e-6, rtol=0)
    distances = torch.arange(6.0)[:, None].expand(6, 2)  # each of the tokens looks at the first alone
    torch.testing.assert_close(found["attention-distance"][2], distances)
    assert (found["attention-entropy"][1] <= np.log(2) + 1e-6).all()
    assert (found["attention-entropy"][0] > 0).all()


def test_statistics_of_known_maps():
    tokens = torch.zeros(1, 2, 9, 4)
    even = places.attention(tokens, tokens, 2)
    torch.testing.assert_close(even.entropy, torch.full((1, 2, 9), np.log(9)))
    corner = (2 * 1 + 2 * 2 + 2**0.5 + 2 * 5**0.5 + 8**0.5) / 9
    middle = (4 + 4 * 2**0.5) / 9
    assert even.distance[0, 0, 0].item() == pytest.approx(corner)
    assert even.distance[0, 1, 4].item() == pytest.approx(middle)
    sharp = places.attention(100 * torch.eye(9)[None, None], 100 * torch.eye(9)[None, None], 1)
    assert sharp.entropy.abs().max() < 1e-4 and sharp.distance.abs().max() < 1e-4
    with pytest.raises(ValueError, match="8 tokens do not tile a square"):
        places.distances(8, 2)


def test_a_map_is_computed_once_for_both_statistics(monkeypatch, backbone):
    calls, usual = [], places.attention
    monkeypatch.setattr(places, "attention", lambda *given: calls.append(1) or usual(*given))
    read(backbone, [*STATISTICS, "q", "k"])
    assert len(calls) == 1
    read(backbone, ["q", "k", "attention"])
    assert len(calls) == 1


def test_fused_projections_are_refused(tmp_path):
    model, split = tiny.dit(), tiny.split(3, folder=tmp_path)
    model.blocks[1].attn1.fuse_projections()
    with pytest.raises(ValueError, match="dit-tiny has the projections of its attention fused.* read 'v'"):
        Recipe([1, 2], [0], places=["v"]).of(split, model)
    with pytest.raises(ValueError, match="fused"), tap(model, [(2, "attention-entropy")]):
        pass
    assert set(read(model, ["attention", "mlp", "out"])) == {"attention", "mlp", "out"}  # these are there
    assert Recipe([1], [0], places=["v"]).of(split, model)["places"] == ["v"]


def test_a_processor_that_projects_in_another_way_is_refused_when_it_runs():
    model = tiny.dit()
    model.blocks[1].attn1.fuse_projections()
    model.blocks[1].attn1.set_processor(FusedAttnProcessor2_0())
    model.blocks[1].attn1.fused_projections = False  # as of a layer that does not tell
    with pytest.raises(RuntimeError, match="attn1.to_q did not run in this pass"):
        read(model, ["q"])
    assert not [hook for module in model.modules() for hook in module._forward_hooks.values()]


def test_places_change_nothing_about_the_pass(backbone):
    plain = backbone.states(noisy(backbone), 30, [BLOCK])[BLOCK]
    found = read(backbone, ["out", *backbone.places])
    assert torch.equal(found["out"], plain) and list(found) == ["out", *backbone.places]
    assert not [hook for module in backbone.modules() for hook in module._forward_hooks.values()]


@pytest.mark.parametrize("pooling", ["mean", "quadrants", "real"])
def test_tokens_pooled_as_they_come_by_are_those_pooled_after(pooling):
    """Of every place, so also of those that gates, shares and scales make of what was pooled before them."""
    model = tiny.plaid() if pooling == "real" else tiny.dit()
    mask = torch.tensor([[True] * 6, [True] * 2 + [False] * 4, [True] + [False] * 5])
    pool = partial(areas, pooling=pooling, mask=mask)
    after = {place: pool(tokens) for place, tokens in read(model, ["out", *model.places]).items()}
    early = read(model, ["out", *model.places], pool=pool)
    assert early.keys() == after.keys()
    for place, values in early.items():
        assert values.shape[1] == {"quadrants": 4}.get(pooling, 1)
        torch.testing.assert_close(values, after[place], rtol=1e-4, atol=1e-6)


def test_tokens_that_are_pooled_as_they_come_by_are_not_held():
    model, sizes = tiny.dit(), []

    def pool(tokens):
        sizes.append(tokens.shape[1])
        return tokens.mean(dim=1, keepdim=True)

    plain = [place for place in model.places if place not in STATISTICS]
    with tap(model, [(BLOCK, place) for place in plain], pool) as inside:
        hook = model.blocks[BLOCK - 1].ff.register_forward_pre_hook(lambda *_: sizes.append("mlp begins"))
        model.states(noisy(model), 30, [BLOCK])
        hook.remove()
    assert sizes.index("mlp begins") == 4  # queries, keys, values and the attention were pooled before it
    assert len(sizes) == 7  # and its hidden layer and output after; gates take what is pooled
    assert {values.shape[1] for values in inside.values()} == {1}


def test_in_low_precision_statistics_are_computed_in_full():
    model = tiny.dit()
    full = read(model, STATISTICS)
    model.run_in(torch.bfloat16)
    for place, values in read(model, STATISTICS).items():
        assert values.dtype == torch.float32
        torch.testing.assert_close(values, full[place], rtol=0.05, atol=0.02)


def test_all_places_of_a_pass_are_kept_and_read(tmp_path):
    """Pooled, of every width, in the order of the backbone, one pass a timestep."""
    model, split = tiny.plaid(), tiny.split(7)
    passes, run = [], model.run_block
    model.run_block = lambda index, *given: passes.append(index) or run(index, *given)
    recipe = Recipe([1, 2], [0, 30], noising="mean", places=["out", *model.places])
    found = extract.features(split, model, recipe, root=tmp_path, batch_size=7)
    assert passes == [0, 1, 0, 1] and found.places == ("out", *model.places)
    widths = {place: found.read((30, 2, place)).shape for place in found.places}
    expected = dict.fromkeys(found.places, (7, 16)) | {"hidden": (7, 64)} | dict.fromkeys(STATISTICS, (7, 2))
    assert widths == expected
    narrow = extract.features(split, model, replace(recipe, places=["v"]), root=tmp_path)
    assert narrow.path == found.path


def test_gates_are_those_of_the_models_own_norm():
    """The increment of the attention, from the norm's linear layer by hand."""
    model = tiny.dit()
    found = read(model, ["attention", "mlp", *INCREMENTS])
    with torch.inference_mode():
        _, context = model.embed(noisy(model), torch.full((3,), 30))
        parts = model.blocks[BLOCK - 1].norm1.linear(functional.silu(context)).chunk(6, dim=1)
        for name, gate in (("attention", parts[2]), ("mlp", parts[5])):
            torch.testing.assert_close(found[f"{name}-increment"], gate[:, None] * found[name])
