"""Backbones against the published models' numbers, and the protocol they share."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from data_prep.training import classifier as train_classifier
from difffeat import backbones
from difffeat.backbones.dit import DiT
from difffeat.backbones.latents import PatchPCA, pixels
from difffeat.backbones.plaid import Plaid
from difffeat.backbones.sampling import sample
from difffeat.backbones.taps import tap

TINY = {"image": tiny.dit, "text": tiny.plaid}


@pytest.fixture
def reference():
    folder = os.environ.get("DIFFFEAT_REFERENCE")
    if not folder:
        pytest.skip("DIFFFEAT_REFERENCE is not set: the folder that holds reference/*.npz")

    def read(name):
        numbers = np.load(Path(folder) / "reference" / name)
        return {key: torch.from_numpy(numbers[key]) for key in numbers.files}

    return read


@pytest.fixture(params=["image", "text"])
def backbone(request):
    return TINY[request.param]()


def noisy(backbone, count=3):
    return torch.randn(count, *backbone.latent_shape, generator=torch.Generator().manual_seed(0))


# Against the published models.


def relative(ours, expected):
    return float((ours - expected).abs().max() / expected.abs().max())


def test_dit_agrees_with_the_published_one(reference):
    numbers = reference("dit_small.npz")
    state = {name.removeprefix("pt/"): value for name, value in numbers.items() if name.startswith("pt/")}
    model = DiT.from_official(state, heads=4)
    with torch.inference_mode():
        states = {block: tokens for block, tokens, _ in model.walk(numbers["xt"], numbers["t"], model.depth)}
        out = model(numbers["xt"], numbers["t"])
    # These numbers are of a machine whose products may round otherwise; test_published.py compares on one.
    assert relative(out, numbers["out"]) < 2e-6
    for block, expected in enumerate(numbers["hidden"], start=1):
        assert relative(states[block], expected) < 2e-6


def official_plaid(numbers):
    files = ("noise_schedule", "gamma_bounds", "embedding_matrix", "model")
    states = [
        {name.split("/")[1]: value for name, value in numbers.items() if name.startswith(f"{file}.pt/")}
        for file in files
    ]
    return Plaid.from_official(*states, length=11)


def test_plaid_agrees_with_the_published_one(reference):
    numbers = reference("plaid_small.npz")
    model, z, gamma = official_plaid(numbers), numbers["z"], numbers["gamma"]
    with torch.inference_mode():
        clean, scale = model.embeddings[numbers["tokens"]], gamma[:, None, None]
        ours = torch.sigmoid(-scale).sqrt() * clean + torch.sigmoid(scale).sqrt() * numbers["eps"]
        assert relative(ours, z) < 1e-6
        tokens, context = model.embed_gamma(z, gamma, torch.zeros_like(z))
        for index, expected in enumerate(numbers["hidden"]):
            tokens = model.run_block(index, tokens, context)
            assert relative(tokens, expected) < 1e-5
        logits = model(z, gamma, torch.zeros_like(z))
        assert relative(logits, numbers["logits"]) < 1e-5
        assert relative(model.estimate(logits), numbers["x_reconst"]) < 2e-5


def test_plaid_reads_the_integer_clock_at_a_thousandth(reference):
    numbers = reference("plaid_small.npz")
    model, z = official_plaid(numbers), numbers["z"]
    gamma = model.schedule(torch.full((4,), 0.03, dtype=torch.float64)).detach()
    with torch.inference_mode():
        expected, _ = model.embed_gamma(z, gamma, torch.zeros_like(z))
    assert torch.equal(model.states(z, 30, [0])[0], expected)


# The protocol.


def test_states_are_those_of_a_full_pass_in_ascending_order(backbone):
    z = noisy(backbone)
    timesteps = torch.full((3,), 40)
    with torch.inference_mode():
        full = {block: tokens for block, tokens, _ in backbone.walk(z, timesteps, backbone.depth)}
    states = backbone.states(z, 40, [2, 0, 1, 2])
    assert list(states) == [0, 1, 2]
    for block, tokens in states.items():
        assert torch.equal(tokens, full[block]) and tokens.shape[2] == backbone.width
    assert not torch.equal(states[1], states[2])


def test_states_stop_at_the_deepest_block(backbone, monkeypatch):
    ran, run_block = [], type(backbone).run_block
    monkeypatch.setattr(
        type(backbone),
        "run_block",
        lambda self, index, *rest: ran.append(index) or run_block(self, index, *rest),
    )
    backbone.states(noisy(backbone), 0, [1])
    assert ran == [0]


def test_states_of_a_sample_do_not_depend_on_its_batch(backbone):
    z = noisy(backbone, 5)
    together, alone = backbone.states(z, 10, [2])[2], backbone.states(z[3:4], 10, [2])[2]
    torch.testing.assert_close(together[3:4], alone)


def test_condition_replaces_what_the_model_is_told(backbone):
    z = noisy(backbone)
    told = backbone.states(z, 0, [1], condition=300)[1]
    assert torch.equal(told, backbone.states(z, 300, [1])[1])
    assert not torch.equal(told, backbone.states(z, 0, [1])[1])


@pytest.mark.parametrize("block", [-1, 99, 1.5])
def test_a_block_out_of_range_is_refused_with_the_range(backbone, block):
    with pytest.raises(ValueError, match=f"block {block} is out of range.*0 .embedding. to {backbone.depth}"):
        backbone.states(noisy(backbone), 0, [1, block])


@pytest.mark.parametrize("wrong", [{"timestep": 1000}, {"timestep": 0, "condition": -1}])
def test_a_timestep_out_of_range_is_refused_with_the_range(backbone, wrong):
    with pytest.raises(ValueError, match="out of range.*to 999"):
        backbone.states(noisy(backbone), blocks=[1], **wrong)


def test_no_blocks_is_refused(backbone):
    with pytest.raises(ValueError, match=f"no blocks.*to {backbone.depth}"):
        backbone.states(noisy(backbone), 0, [])


def test_prediction_has_the_shape_of_the_latents(backbone):
    assert backbone.predict(noisy(backbone), 30).shape == noisy(backbone).shape


def test_dit_prediction_solves_for_the_clean_latents():
    model, z = tiny.dit(), torch.randn(3, 4, 4, 4)
    clean = model.predict(z, 200)
    alpha, sigma = model.schedule.alpha_sigma(200)
    with torch.inference_mode():
        torch.testing.assert_close(alpha * clean + sigma * model(z, torch.full((3,), 200)), z)


def test_plaid_prediction_uses_its_previous_estimate():
    model = tiny.plaid()
    z = noisy(model)
    first = model.predict(z, 500)
    assert torch.equal(first, model.predict(z, 500, torch.zeros_like(z)))
    assert not torch.equal(first, model.predict(z, 500, first))


def test_dit_trains_through_its_forward():
    model = DiT(channels=4, side=4, patch=2, width=16, depth=2, heads=2, classes=1)
    z, timesteps = torch.randn(3, 4, 4, 4), torch.tensor([0, 10, 999])
    assert torch.equal(model(z, timesteps), torch.zeros_like(z)), "closed gates start as the zero function"
    model(z, timesteps).square().sum().add(model(z, timesteps).sum()).backward()
    assert model.transformer.proj_out_2.bias.grad.abs().sum() > 0


# Inputs and outputs.


def test_text_is_padded_with_the_end_token_and_cut():
    model = tiny.plaid(length=4)
    ids, mask = model.tokenize(["cat sits", "dog runs here there cow", ""])
    assert ids.tolist() == [[1, 4, 0, 0], [2, 5, 7, 8], [0, 0, 0, 0]]
    assert mask.sum(1).tolist() == [2, 4, 0]
    z, mask_again = model.latents(["cat sits", "dog runs here there cow", ""])
    assert torch.equal(mask, mask_again)
    torch.testing.assert_close(z.norm(dim=2), torch.ones(3, 4))
    assert model.decode(z) == ["cat sits", "dog runs here there", ""]


def test_a_model_without_tokenizer_says_so():
    model = Plaid(vocabulary=5, width=8, depth=1, heads=2, length=3, embedding=4)
    with pytest.raises(ValueError, match="without a tokenizer"):
        model.latents(["cat"])


def test_patch_pca_whitens_and_with_all_components_loses_nothing(tmp_path):
    random = np.random.default_rng(0)
    smooth = random.integers(0, 255, (40, 4, 4, 3), dtype=np.uint8)
    images = [Image.fromarray(image).resize((16, 16), Image.Resampling.BICUBIC) for image in smooth]
    pca = PatchPCA.fit(pixels(images, 16), patch=4, channels=48)
    z = pca.encode(pixels(images, 16))
    assert z.shape == (40, 48, 4, 4)
    flat = z.transpose(0, 1).flatten(1)[:12]  # the last components are nearly without variance
    torch.testing.assert_close(flat @ flat.T / flat.shape[1], torch.eye(12), atol=1e-3, rtol=0)
    torch.testing.assert_close(pca.decode(z), pixels(images, 16), atol=1e-4, rtol=0)
    pca.save(tmp_path / "latents.safetensors")
    torch.testing.assert_close(PatchPCA.load(tmp_path / "latents.safetensors").encode(pixels(images, 16)), z)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_patch_pca_whitens_as_far_as_it_is_told(whitening):
    images = [Image.fromarray(noise) for noise in _uneven_noise()]
    z = PatchPCA.fit(pixels(images, 16), patch=4, channels=8, whitening=whitening).encode(pixels(images, 16))
    variance = z.square().mean(dim=(0, 2, 3))
    own = PatchPCA.fit(pixels(images, 16), patch=4, channels=8).scale.square()
    expected = own ** (1 - whitening)
    torch.testing.assert_close(variance, expected / expected.mean(), rtol=1e-3, atol=0)


def _uneven_noise():
    """40 pictures whose patches vary much in some directions and little in others."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 40, (40, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
    fine = random.normal(0, 12, (40, 16, 16, 3))
    return np.clip(128 + coarse + fine, 0, 255).astype(np.uint8)


def test_patch_pca_puts_a_patch_where_it_was():
    model = tiny.dit()
    image = Image.new("RGB", (16, 16), (128, 128, 128))
    image.paste((255, 0, 0), (4, 8, 8, 12))  # the patch in row 2, column 1
    grey = model.latents([Image.new("RGB", (16, 16), (128, 128, 128))]).z
    changed = (model.latents([image]).z - grey).abs().sum(dim=(0, 1)) > 1e-4
    assert changed.nonzero().tolist() == [[2, 1]]


def test_images_of_any_mode_and_shape_become_the_middle_square():
    wide = Image.new("L", (40, 20), 255)
    wide.paste(0, (0, 0, 10, 20))  # outside the middle square
    (square,) = pixels([wide], 8, "centre")
    torch.testing.assert_close(square, torch.ones(3, 8, 8))


# Sampling and taps.


def test_samples_repeat_with_the_seed(backbone):
    first, again, other = (sample(backbone, 2, steps=4, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (2, *backbone.latent_shape)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(backbone.decode(first)) == 2


def test_sampling_finds_the_data_of_a_perfect_model(backbone, monkeypatch):
    clean = noisy(backbone, 4)
    monkeypatch.setattr(type(backbone), "predict", lambda self, z, timestep, previous=None: clean)
    assert torch.equal(sample(backbone, 4, steps=10), clean)


def test_sampling_keeps_the_variance_that_the_schedule_promises(backbone, monkeypatch):
    """With zero as the estimate, noise is all there is: sigma times a unit normal at each timestep."""
    spread = {}

    def predict(self, z, timestep, previous=None):
        spread[timestep] = float(z.std())
        return torch.zeros_like(z)

    monkeypatch.setattr(type(backbone), "predict", predict)
    sample(backbone, 400, steps=7)
    for timestep, value in spread.items():
        assert value == pytest.approx(backbone.schedule.alpha_sigma(timestep)[1], rel=0.06)


def test_sampling_steps_are_checked(backbone):
    with pytest.raises(ValueError, match="steps must be in"):
        sample(backbone, 1, steps=1)
    with pytest.raises(ValueError, match="guidance 1.5 needs blocks to be perturbed"):
        sample(backbone, 1, guidance=1.5)


def test_identity_attention_keeps_tokens_apart_and_is_gone_afterwards():
    model = tiny.dit()
    z, other = noisy(model, 1), noisy(model, 1)
    other[..., 1:, 1:] += 1  # another picture, but for the first row and column
    other[..., 0, :], other[..., :, 0] = z[..., 0, :], z[..., :, 0]
    every = range(1, model.depth + 1)
    usual = model.states(z, 10, [model.depth])[model.depth]
    with model.identity_attention(every):
        alone, beside = (model.states(x, 10, [model.depth])[model.depth] for x in (z, other))
    assert torch.equal(alone[:, 0], beside[:, 0])  # the first token does not see the others
    assert not torch.equal(alone, usual)
    assert torch.equal(model.states(z, 10, [model.depth])[model.depth], usual)
    with pytest.raises(ValueError, match="block 0 is the embedding"), model.identity_attention([0]):
        pass


def test_guidance_pushes_away_from_the_estimate_without_structure(monkeypatch):
    model, seen = tiny.dit(), {}
    predict = DiT.predict

    def kept(self, z, timestep, previous=None):
        """Calls in order: at 999 plain, or plain and perturbed; then at 0."""
        clean = predict(self, z, timestep, previous)
        seen.setdefault(timestep, []).append((z, clean))
        return clean

    monkeypatch.setattr(DiT, "predict", kept)
    for guidance in (0.0, 2.0):
        sample(model, 2, steps=2, guidance=guidance, perturbed=[1, 2])
    (_, clean), (_, again), (_, without) = seen[999]
    (unguided, _), (guided, _) = seen[0]
    assert torch.equal(clean, again) and not torch.allclose(clean, without)
    (alpha, sigma), (later_alpha, later_sigma) = (model.schedule.alpha_sigma(t) for t in (999, 0))
    gone = 1 - (alpha * later_sigma / (later_alpha * sigma)) ** 2
    torch.testing.assert_close(
        guided - unguided, later_alpha * gone * 2 * (clean - without), rtol=1e-4, atol=1e-4
    )


def test_a_block_is_the_sum_of_what_its_taps_show():
    model = tiny.plaid()
    with tap(model, [(2, "attention"), (2, "mlp"), (2, "hidden")]) as inside:
        assert not inside
        states = model.states(noisy(model), 10, [1, 2])
    scale = model.blocks[1].scale
    torch.testing.assert_close(states[1] + scale * (inside[2, "attention"] + inside[2, "mlp"]), states[2])
    assert inside[2, "hidden"].shape == (*states[2].shape[:2], 4 * model.width)


def test_taps_change_nothing_and_are_gone_afterwards(backbone):
    z = noisy(backbone)
    plain = backbone.states(z, 10, [2])[2]
    with tap(backbone, [(1, place) for place in backbone.places]) as inside:
        assert torch.equal(backbone.states(z, 10, [2])[2], plain)
    assert {place for _, place in inside} == set(backbone.places)
    inside.clear()
    backbone.states(z, 10, [2])
    assert not inside


@pytest.mark.parametrize(
    ("block", "place", "reason"),
    [(0, "mlp", "block 0 is the embedding"), (1, "head", "unknown place 'head'")],
)
def test_a_tap_on_nothing_is_refused(backbone, block, place, reason):
    with pytest.raises(ValueError, match=reason), tap(backbone, [(block, place)]):
        pass


# Loading.


SHIPPED_DIT = {"channels": 4, "side": 4, "patch": 1, "width": 16, "depth": 3, "heads": 2, "classes": 1}
SHIPPED_DIT["image_side"] = 16
SHIPPED_PLAID = {"vocabulary": 9, "embedding": 4, "width": 16, "depth": 2, "heads": 2, "length": 6}


@pytest.fixture(params=["dit-scenes", "plaid-scenes"])
def shipped(request, tmp_path):
    """A folder as training leaves it, of a tiny model, and the model."""
    if request.param == "dit-scenes":
        model = tiny.dit()
        model.encoder.save(tmp_path / "latents.safetensors")
        config = SHIPPED_DIT
    else:
        model = tiny.plaid()
        model.tokenizer.save(str(tmp_path / "tokenizer.json"))
        config = SHIPPED_PLAID
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(
        {name: value.half() for name, value in model.state_dict().items()}, tmp_path / "model.safetensors"
    )
    return request.param, tmp_path, model


def inputs(model):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8))
    return [image] if model.modality == "image" else ["cat sits here"]


def test_a_loaded_model_is_the_saved_one_to_half_precision(shipped):
    name, folder, saved = shipped
    model = backbones.load(name, folder=folder)
    z, saved_z = model.latents(inputs(model)).z, saved.latents(inputs(saved)).z
    torch.testing.assert_close(z, saved_z, atol=1e-3, rtol=1e-2)
    states, expected = model.states(z, 10, [2])[2], saved.states(saved_z, 10, [2])[2]
    torch.testing.assert_close(states, expected, atol=1e-2, rtol=1e-2)
    assert model.name == name and not model.training


def test_the_untrained_copy_shares_inputs_and_noise_but_no_weights(shipped):
    name, folder, _ = shipped
    before = torch.get_rng_state()
    trained, copy, again, other = (
        backbones.load(name, is_trained, seed, folder=folder)
        for is_trained, seed in ((True, 0), (False, 0), (False, 0), (False, 1))
    )
    assert torch.equal(before, torch.get_rng_state()), "loading must not touch the global random state"
    assert copy.schedule.alpha_sigma(300) == trained.schedule.alpha_sigma(300)
    z = copy.latents(inputs(copy)).z
    features = [model.states(z, 10, [1, 2]) for model in (trained, copy, again, other)]
    assert torch.equal(features[1][2], features[2][2])
    assert not torch.equal(features[1][2], features[0][2]) and not torch.equal(features[1][2], features[3][2])
    assert not torch.equal(features[1][1], features[1][2]), "an untrained block still does something"
    assert len({trained.sha256, copy.sha256, other.sha256}) == 3 and copy.sha256 == again.sha256
    assert copy.name == f"{name}-untrained"


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'dit-xl': choose one of dit-scenes, plaid-scenes"):
        backbones.load("dit-xl")


def test_missing_weights_name_the_command_that_makes_them(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="python -m data_prep.training.plaid --model plaid-scenes --out"
    ):
        backbones.load("plaid-scenes", folder=tmp_path)


def test_missing_weights_of_the_shipped_say_what_to_type(shipped, monkeypatch):
    name, folder, _ = shipped
    monkeypatch.setattr(backbones.shipped, "WEIGHTS", folder.parent / "none")
    monkeypatch.setattr(backbones.shipped, "ROOT", folder.parent)
    with pytest.raises(FileNotFoundError, match=rf"git checkout -- none/{name}"):
        backbones.load(name)


def rewrite(folder, change, name="model.safetensors"):
    """Change the tensors of a file; None removes one."""
    state = load_file(folder / name) | change
    save_file({key: value for key, value in state.items() if value is not None}, folder / name)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: None, r"lacks {name}: expected {name} of shape {shape}"),
        (lambda value: value[..., :-1].contiguous(), r"{name} is of shape \(.*\), expected {shape}"),
        (lambda value: torch.full_like(value, float("nan")), r"{name} has \d+ of \d+ values that are NaN"),
    ],
    ids=["missing", "shape", "nan"],
)
def test_weights_that_are_not_the_models_are_named(shipped, change, message, trained):
    name, folder, saved = shipped
    key, value = list(saved.state_dict().items())[-1]
    rewrite(folder, {key: change(value)})
    message = message.format(name=re.escape(key), shape=re.escape(str(tuple(value.shape))))
    with pytest.raises(ValueError, match=rf"model\.safetensors:? {message}.*python -m data_prep\.training\."):
        backbones.load(name, trained, folder=folder)


def test_weights_of_another_model_are_named(shipped):
    name, folder, _ = shipped
    rewrite(folder, {"head.weight": torch.zeros(2)})
    with pytest.raises(ValueError, match=r"model\.safetensors holds head\.weight: the model has no such"):
        backbones.load(name, folder=folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": None}, r"config\.json lacks width: a \S+ is told by"),
        ({"widht": 16}, r"config\.json has the unknown widht: a \S+ is told by"),
        ({"width": "16"}, r"config\.json: width is '16', expected a whole number"),
        ({"width": 16.5}, r"config\.json: width is 16\.5, expected a whole number"),
        ({"depth": 0}, r"config\.json: depth is 0, expected a whole number from 1"),
        ({"depth": True}, r"config\.json: depth is True, expected a whole number"),
        ({"heads": 3}, r"config\.json: heads 3 does not divide width 16"),
        ({"width": 32}, r"model\.safetensors: \S+ is of shape .*16.*, expected .*32"),
        ({"depth": 4}, r"model\.safetensors lacks \S*blocks\.\d"),
        ({"depth": 1}, r"model\.safetensors holds \S*blocks\.1"),
    ],
)
def test_a_bad_configuration_is_named(shipped, change, message):
    name, folder, _ = shipped
    config = json.loads((folder / "config.json").read_text()) | change
    config = {key: value for key, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        backbones.load(name, folder=folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"config\.json is damaged or ends early"),
        (b"\xff\xfe", r"config\.json is damaged or ends early"),
        (b"[1]", r"config\.json holds a list, expected names and values"),
        (None, r"config\.json does not exist"),
    ],
)
def test_a_damaged_configuration_is_named(shipped, content, message):
    name, folder, _ = shipped
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message + ".*The way out: fetch"):
        backbones.load(name, folder=folder)


def test_weights_are_those_of_their_card(shipped):
    name, folder, _ = shipped
    right = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    card = {"sha256": right, "options": {"heads": 2}}
    (folder / "card.json").write_text(json.dumps(card))
    backbones.load(name, folder=folder)
    (folder / "card.json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(
        ValueError, match=rf"model\.safetensors is not .*: sha256 {right}, expected 0000.*card"
    ):
        backbones.load(name, folder=folder)
    (folder / "card.json").write_text(json.dumps(card | {"options": {"heads": 4}}))
    with pytest.raises(ValueError, match=r"config\.json: heads is 2, expected 4, with which"):
        backbones.load(name, folder=folder)


def test_shipped_weights_must_have_a_card(shipped, monkeypatch):
    name, folder, _ = shipped
    folder.rename(folder.parent / name)
    monkeypatch.setattr(backbones.shipped, "WEIGHTS", folder.parent)
    monkeypatch.setattr(backbones.shipped, "ROOT", folder.parent)
    with pytest.raises(FileNotFoundError, match=r"card\.json does not exist"):
        backbones.load(name)


@pytest.mark.parametrize("name", ["dit-scenes", "plaid-scenes"])
def test_the_shipped_weights_load_as_their_cards_say(name):
    folder = backbones.weights_folder(name)
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert json.loads((folder / "card.json").read_text())["sha256"] == weights
    assert backbones.load(name).name == name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": None}, r"latents\.safetensors lacks mean"),
        ({"more": torch.ones(1)}, r"latents\.safetensors holds more"),
        ({"basis": torch.ones(48)}, r"latents\.safetensors: basis is of shape \(48,\), expected 2 axes"),
        ({"scale": torch.ones(5)}, r"latents\.safetensors: scale is of shape \(5,\), expected \(4,\)"),
        ({"scale": torch.full((4,), float("nan"))}, r"latents\.safetensors: scale has 4 of 4 values"),
        ({"scale": torch.zeros(4)}, r"latents\.safetensors: scale is 0.0 at least, expected above 0"),
        (
            {"scale": torch.ones(3), "basis": torch.ones(48, 3)},
            r"latents\.safetensors makes latents of channels 3 and side 4 .*expected channels 4 and side 4",
        ),
    ],
)
def test_components_that_are_not_the_models_are_named(tmp_path, change, message):
    model = tiny.dit()
    model.encoder.save(tmp_path / "latents.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(SHIPPED_DIT))
    save_file(dict(model.state_dict()), tmp_path / "model.safetensors")
    rewrite(tmp_path, change, "latents.safetensors")
    with pytest.raises(ValueError, match=message):
        backbones.load("dit-scenes", folder=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:50], r"tokenizer\.json is damaged or no tokenizer"),
        (
            lambda text: text.replace("<|endoftext_R9VQqF0Ag7|>", "<|x|>"),
            r"tokenizer\.json has no token <\|end",
        ),
        (
            lambda text: text.replace('"there": 8', '"there": 9'),
            r"tokenizer\.json has ids up to 9, expected below",
        ),
        (lambda text: None, r"tokenizer\.json does not exist"),
    ],
)
def test_words_that_are_not_the_models_are_named(tmp_path, change, message):
    model = tiny.plaid()
    text = change(model.tokenizer.to_str(pretty=True))
    if text is not None:
        (tmp_path / "tokenizer.json").write_text(text)
    (tmp_path / "config.json").write_text(json.dumps(SHIPPED_PLAID))
    save_file(dict(model.state_dict()), tmp_path / "model.safetensors")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        backbones.load("plaid-scenes", folder=tmp_path)


@pytest.mark.parametrize("sizes", [{"heads": 3}, {"heads": 16}])
def test_heads_that_do_not_divide_the_width_are_refused(sizes):
    with pytest.raises(ValueError, match=f"heads {sizes['heads']} does not divide width 16"):
        Plaid(vocabulary=5, width=16, depth=1, length=3, embedding=4, **sizes)


def test_the_classifier_of_pictures_is_that_of_its_card(tmp_path, monkeypatch):
    folder = tmp_path / train_classifier.NAME
    shutil.copytree(backbones.weights_folder(train_classifier.NAME), folder)
    monkeypatch.setattr(train_classifier, "weights_folder", lambda name: tmp_path / name)
    train_classifier.load()
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors is not the file that was trained: sha256"):
        train_classifier.load()
