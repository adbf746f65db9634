"""Stable Diffusion 1.5 and SDXL, from small folders in the layout that their authors publish."""

import json
import math

import numpy as np
import official
import pytest
import torch
from diffusers import EulerDiscreteScheduler, PNDMScheduler
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from difffeat import backbones, profiles
from difffeat.backbones import autoencoder, clip_text, stable_diffusion

NAMES = ("sd-1.5", "sdxl-1.0")


@pytest.fixture(params=NAMES)
def model_folder(request, tmp_path):
    official.write_stable_diffusion(tmp_path / "model", request.param)
    return request.param, tmp_path / "model"


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (70, 90, 3), dtype=np.uint8)) for _ in range(2)]


def test_a_folder_is_read_as_it_is(model_folder, images):
    name, folder = model_folder
    model, side = backbones.load(name, folder=folder), {"sd-1.5": 16, "sdxl-1.0": 8}[name]
    saved = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    assert saved.keys() == model.network.state_dict().keys()
    assert all(torch.equal(saved[key], value) for key, value in model.network.state_dict().items())
    assert (model.image_side, model.latent_shape, model.context.shape[:2]) == (
        8 * side,
        (4, side, side),
        (1, 77),
    )
    z = model.latents(images).z
    pixels = torch.stack([torch.from_numpy(np.array(one.resize((8 * side, 8 * side)))) for one in images])
    with torch.inference_mode():
        code = model.encoder.network.encode(pixels.permute(0, 3, 1, 2) / 127.5 - 1).latent_dist.mean
    torch.testing.assert_close(z, code * {"sd-1.5": 0.18215, "sdxl-1.0": 0.13025}[name])
    assert model.decode(z)[0].size == (8 * side, 8 * side)


def test_the_network_is_told_what_its_pipeline_tells_it(model_folder):
    name, folder = model_folder
    model = backbones.load(name, folder=folder, prompt="a cat")
    z, told = torch.randn(2, *model.latent_shape), torch.tensor([50, 50])
    given = {"encoder_hidden_states": model.context.repeat(2, 1, 1)}
    if name == "sdxl-1.0":
        sizes = torch.tensor(
            [[64.0, 64, 0, 0, 64, 64]] * 2
        )  # of the picture, where it was cut, of the result
        given["added_cond_kwargs"] = {"text_embeds": model.pooled.repeat(2, 1), "time_ids": sizes}
    with torch.inference_mode():
        expected = model.network(z, told, **given).sample
        torch.testing.assert_close(model(z, told), expected)
    pick = "up-level1-repeat1-vit-block0-cross-q"
    ((_, place, tokens),) = model.activations(z, 50, [0], [pick])
    assert place == pick and tokens.shape == (2, 16, {"sd-1.5": 32, "sdxl-1.0": 16}[name])
    assert len(model.places) == {"sd-1.5": 197, "sdxl-1.0": 612}[name]


def test_prompts_and_weights_decide_the_hash_and_the_place_of_the_files_does_not(model_folder, tmp_path):
    name, folder = model_folder
    first, cat, untrained = (
        backbones.load(name, *given, folder=folder, **told)
        for given, told in (((), {}), ((), {"prompt": "a cat"}), ((False,), {}))
    )
    assert len({model.sha256 for model in (first, cat, untrained)}) == 3
    assert torch.equal(first.context, untrained.context) and not torch.equal(first.context, cat.context)
    other = tmp_path / "other"
    folder.rename(other)
    assert backbones.load(name, folder=other).sha256 == first.sha256


def test_noise_levels_are_those_of_the_scheduler(model_folder):
    name, folder = model_folder
    schedule, prediction = stable_diffusion.read_schedule(folder / "scheduler")
    kind = {"sd-1.5": PNDMScheduler, "sdxl-1.0": EulerDiscreteScheduler}[name]
    scheduler = kind.from_pretrained(folder / "scheduler")
    for timestep in (0, 51, 500, 999):
        alpha, sigma = schedule.alpha_sigma(timestep)
        assert alpha**2 == pytest.approx(float(scheduler.alphas_cumprod[timestep]), rel=1e-4)
        assert alpha**2 + sigma**2 == pytest.approx(1) and prediction == "epsilon"


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of the scheduler's code, by numpy
@pytest.mark.parametrize(("name", "timestep"), [("sd-1.5", 51), ("sdxl-1.0", 50)])
def test_the_published_t_of_50_is_this_timestep_of_the_clock(tmp_path, name, timestep):
    """As the published code comes to it: 1000 steps of the scheduler, of which the last 50 are left."""
    official.write_stable_diffusion(tmp_path, name)
    kind = {"sd-1.5": PNDMScheduler, "sdxl-1.0": EulerDiscreteScheduler}[name]
    scheduler = kind.from_pretrained(tmp_path / "scheduler", timestep_spacing="leading")
    scheduler.set_timesteps(1000)
    assert int(scheduler.timesteps[1000 - 50]) == timestep


def test_a_folder_that_is_not_whole_is_named(model_folder):
    name, folder = model_folder
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    save_file({key: value for key, value in state.items() if key != "conv_in.bias"}, path)
    with pytest.raises(ValueError, match=r"unet lacks conv_in\.bias"):
        backbones.load(name, folder=folder)
    save_file(state, path)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"beta_schedule": "cosine"}))
    with pytest.raises(ValueError, match="beta_schedule is 'cosine'; known: linear, scaled_linear"):
        backbones.load(name, folder=folder)
    (folder / "text_encoder").rename(folder / "text")
    with pytest.raises(FileNotFoundError, match=f"lacks the folders text_encoder: .*data_prep.fetch {name}"):
        backbones.load(name, folder=folder)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("tokenizer/merges.txt", r"tokenizer lacks merges\.txt"),
        ("text_encoder/config.json", r"text_encoder lacks config\.json"),
        ("text_encoder/model.safetensors", r"text_encoder lacks .*model\.safetensors"),
    ],
)
def test_a_text_encoder_that_is_not_whole_is_named(tmp_path, file, message):
    official.write_stable_diffusion(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(FileNotFoundError, match=message):
        backbones.load("sd-1.5", folder=tmp_path)


def test_models_with_random_weights_need_no_files(monkeypatch):
    monkeypatch.setitem(autoencoder.SHAPE, "block_out_channels", (32, 32, 32, 32))
    small = dict(block_out_channels=(32, 32, 32), attention_head_dim=2, sample_size=8)
    shape = stable_diffusion.SDXL | small | dict(transformer_layers_per_block=1)
    monkeypatch.setitem(stable_diffusion.SHAPES, "sdxl-1.0", shape)
    first, same, other = (backbones.load("sdxl-1.0-random", flag) for flag in (True, True, False))
    assert first.sha256 == same.sha256 != other.sha256
    assert (first.context.shape, first.pooled.shape) == ((1, 77, 2048), (1, 1280))
    assert first.predict(torch.randn(1, 4, 8, 8), 50).isfinite().all()


# Prompts.


def plain_encoder(state, config, ids):
    """A text encoder as its paper describes it: tokens after every block, one line per operation."""

    def linear(name, x):
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name, x):
        return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    gelu = {"gelu": functional.gelu, "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x)}
    embeddings = (state[f"text_model.embeddings.{name}_embedding.weight"] for name in ("token", "position"))
    token, position = embeddings
    x = token[ids] + position[: ids.shape[1]]
    heads, later = config["num_attention_heads"], torch.ones(2 * ids.shape[1:]).triu(1).bool()
    for block in range(config["num_hidden_layers"]):
        name = f"text_model.encoder.layers.{block}"
        h = norm(f"{name}.layer_norm1", x)
        q, k, v = (
            linear(f"{name}.self_attn.{part}_proj", h).unflatten(2, (heads, -1)).transpose(1, 2)
            for part in "qkv"
        )
        scores = (q @ k.mT / math.sqrt(q.shape[3])).masked_fill(later, -math.inf)
        h = (scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2)
        x = x + linear(f"{name}.self_attn.out_proj", h)
        h = gelu[config["hidden_act"]](linear(f"{name}.mlp.fc1", norm(f"{name}.layer_norm2", x)))
        x = x + linear(f"{name}.mlp.fc2", h)
        yield x
    yield norm("text_model.final_layer_norm", x)


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_an_encoder_is_the_transformer_that_its_paper_describes(tmp_path, act):
    torch.manual_seed(0)
    config = official.clip_config(official.write_words(tmp_path / "words"), act=act, depth=3)
    official.write_encoder(tmp_path / "encoder", config, projected=True)
    words = clip_text.Words(tmp_path / "words")
    ids = words(["A cat", "dog dog dog"])
    encoded = clip_text.read_encoder(tmp_path / "encoder", words.end)(ids)
    state = load_file(tmp_path / "encoder" / "model.safetensors")
    *_, penultimate, _, last = plain_encoder(state, config, ids)
    torch.testing.assert_close(encoded.last, last)
    torch.testing.assert_close(encoded.penultimate, penultimate)
    ends = last[[0, 1], [3, 4]]  # where the text ends: start, a, cat, end; start, three dogs, end
    torch.testing.assert_close(encoded.pooled, ends @ state["text_projection.weight"].T)


def test_words_are_cut_started_ended_and_padded(tmp_path):
    count = official.write_words(tmp_path / "words")
    start, end = count - 2, count - 1
    held = json.loads((tmp_path / "words" / "vocab.json").read_text())
    words = clip_text.Words(tmp_path / "words", length=7)
    a, cat, dog = held["a</w>"], held["cat</w>"], held["dog</w>"]
    assert words(["A  cat", ""]).tolist() == [
        [start, a, cat, end, end, end, end],
        [start, end, end, end, end, end, end],
    ]
    assert words(["dog's dog dog dog dog"]).tolist() == [
        [start, dog, held["'"], held["s</w>"], dog, dog, end],
    ]
    official.write_words(tmp_path / "other", pad="!")
    other = clip_text.Words(tmp_path / "other", length=5)
    assert other(["cat"]).tolist() == [[start, cat, end, held["!"], held["!"]]]
    assert other(["cat!"]).tolist() == [
        [start, cat, held["!"], end, held["!"]]
    ]  # as its own tokenizer has it
    assert words(["cat!"]).tolist() == [[start, cat, held["!</w>"], end, end, end, end]]
    (tmp_path / "other" / "vocab.json").write_text(json.dumps({"a": 0, "c": 1, "t": 2, "ca": 3}))
    (tmp_path / "other" / "merges.txt").write_text("#version: 0.2\nc a\n")
    with pytest.raises(ValueError, match=r"vocab\.json is not CLIP's: it lacks"):
        clip_text.Words(tmp_path / "other")


def test_an_encoder_of_another_shape_or_kind_is_named(tmp_path):
    config = official.clip_config(official.write_words(tmp_path / "words"))
    official.write_encoder(tmp_path / "encoder", config)
    path = tmp_path / "encoder" / "config.json"
    path.write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"lacks text_model\.encoder\.layers\.2\."):
        clip_text.read_encoder(tmp_path / "encoder", 1)
    path.write_text(json.dumps(config | {"hidden_act": "relu"}))
    with pytest.raises(ValueError, match="hidden_act is 'relu'; known: quick_gelu, gelu"):
        clip_text.read_encoder(tmp_path / "encoder", 1)


@pytest.mark.parametrize(("profile", "name"), [("sd15", "sd-1.5"), ("sdxl", "sdxl-1.0")])
def test_a_profile_picks_what_the_model_has(tmp_path, profile, name):
    official.write_stable_diffusion(tmp_path, name)
    taken = profiles.planned(profiles.load(profile), "10_extract_image")
    model = backbones.load(name, folder=tmp_path)
    assert taken["image_backbone"] == name and taken["image_blocks"] == [0]
    (timestep,) = taken["image_timesteps"]
    assert timestep == {"sd-1.5": 51, "sdxl-1.0": 50}[name]
    picks, z = taken["image_places"], torch.randn(1, *model.latent_shape)
    read = [place for _, place, _ in model.activations(z, timestep, [0], picks)]
    assert len(read) == 4 and set(read) == set(picks)
