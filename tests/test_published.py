"""The paper's own models, from files in the layouts that their authors publish, with random weights."""

from functools import partial

import numpy as np
import official
import pytest
import tiny
import torch
from diffusers import DiTTransformer2DModel
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional

from difffeat import backbones
from difffeat.backbones import autoencoder, published
from difffeat.backbones.base import gelu
from difffeat.backbones.dit import DiT
from difffeat.backbones.latents import square
from difffeat.backbones.plaid import Plaid


def plain_forward(state, z, t, heads):
    """Tokens after every block, as the paper of DiT describes them, one line per operation."""

    def linear(name, x):
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    patches = functional.conv2d(z, state["x_embedder.proj.weight"], state["x_embedder.proj.bias"], stride=2)
    x = patches.flatten(2).transpose(1, 2) + state["pos_embed"]
    angles = t[:, None].float() * torch.exp(-np.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
    waves = torch.cat([angles.cos(), angles.sin()], dim=1)
    c = linear("t_embedder.mlp.2", functional.silu(linear("t_embedder.mlp.0", waves)))
    c = c + state["y_embedder.embedding_table.weight"][-1]
    width = x.shape[-1]
    for block in range(depth):
        name = f"blocks.{block}"
        shift, scale, gate, shift2, scale2, gate2 = linear(
            f"{name}.adaLN_modulation.1", functional.silu(c)
        ).chunk(6, dim=1)
        h = functional.layer_norm(x, (width,), eps=1e-6) * (1 + scale[:, None]) + shift[:, None]
        q, k, v = linear(f"{name}.attn.qkv", h).unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        h = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + gate[:, None] * linear(f"{name}.attn.proj", h)
        h = functional.layer_norm(x, (width,), eps=1e-6) * (1 + scale2[:, None]) + shift2[:, None]
        h = linear(f"{name}.mlp.fc2", functional.gelu(linear(f"{name}.mlp.fc1", h), approximate="tanh"))
        x = x + gate2[:, None] * h
        yield x


@pytest.fixture
def vae(tmp_path):
    official.autoencoder().save_pretrained(tmp_path / "vae")
    return tmp_path / "vae"


@pytest.fixture
def images():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (70, 90, 3), dtype=np.uint8)) for _ in range(3)]


@pytest.fixture
def torchs_gelu(monkeypatch):
    """torch's own activation, for an equality to the last bit; ours is the same but for rounding."""
    monkeypatch.setattr("difffeat.backbones.dit.gelu", partial(functional.gelu, approximate="tanh"))


def test_the_activation_is_torchs_but_for_rounding():
    x = torch.cat([torch.randn(10_000) * 5, torch.tensor([0.0, -0.0, 1e-30, -40.0, 40.0, -1e4, 1e4])])
    expected = functional.gelu(x, approximate="tanh")
    with torch.inference_mode():
        found = gelu(x)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    learned = x.clone().requires_grad_()
    gelu(learned).sum().backward()
    assert learned.grad.isfinite().all()


# DiT.


@pytest.mark.parametrize(("width", "depth", "heads"), [(32, 2, 2), (48, 3, 3), (96, 2, 8), (1152, 1, 16)])
@torch.inference_mode()
def test_an_official_checkpoint_gives_the_published_tokens(tmp_path, vae, torchs_gelu, width, depth, heads):
    state = official.dit_checkpoint(width, depth)
    torch.save(state, tmp_path / "DiT-XL-2-256x256.pt")
    model = backbones.load("dit-xl-2-256", folder=tmp_path, heads=heads)
    assert (model.width, model.depth, model.latent_shape) == (width, depth, (4, 8, 8))
    z, t = torch.randn(2, 4, 8, 8), torch.tensor([50, 50])
    states = model.states(z, 50, range(depth + 1))
    for block, expected in enumerate(plain_forward(state, z, t, heads), start=1):
        if width < 1000:
            assert torch.equal(states[block], expected)
        # Large products may be cut up otherwise where query, key and value are three and not one.
        assert (states[block] - expected).abs().max() < 1e-6 * expected.abs().max()


@torch.inference_mode()
def test_a_diffusers_folder_gives_the_same_as_the_official_file(tmp_path, vae, images, torchs_gelu):
    state = official.dit_checkpoint(32, 2)
    ours = DiT.from_official(state, heads=2)
    network = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=2,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10,
    )  # fmt: skip
    theirs = network.state_dict()
    for name, value in ours.state_dict().items():
        if name.startswith("transformer."):
            theirs[name.removeprefix("transformer.")] = value
        else:
            for block in range(2):
                copy = name.replace("conditioning.", f"transformer_blocks.{block}.norm1.emb.")
                assert copy in theirs
                theirs[copy] = value
    network.load_state_dict(theirs)
    network.save_pretrained(tmp_path / "transformer")
    model = backbones.load("dit-xl-2-256", folder=tmp_path)
    z, t = torch.randn(2, 4, 8, 8), torch.tensor([30, 30])
    states = model.states(z, 30, [1, 2])
    for block, expected in enumerate(plain_forward(state, z, t, 2), start=1):
        assert torch.equal(states[block], expected)
    assert model.latents(images).z.shape == (3, 4, 8, 8)


def test_blocks_that_do_not_share_their_conditioning_are_refused():
    network = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=2, sample_size=8,
        num_embeds_ada_norm=10,
    )  # fmt: skip
    with pytest.raises(ValueError, match="of its own"):
        DiT.from_diffusers(network)


def test_the_untrained_copy_has_the_shape_and_the_autoencoder_of_the_trained(tmp_path, vae, images):
    torch.save(official.dit_checkpoint(32, 2), tmp_path / "DiT-XL-2-256x256.pt")
    trained, untrained, again = (
        backbones.load("dit-xl-2-256", flag, folder=tmp_path, heads=2) for flag in (True, False, False)
    )
    assert torch.equal(trained.latents(images).z, untrained.latents(images).z)
    z = trained.latents(images).z
    assert not torch.equal(trained.states(z, 0, [2])[2], untrained.states(z, 0, [2])[2])
    assert untrained.sha256 == again.sha256 != trained.sha256


def test_what_is_missing_is_named_with_the_command_that_gets_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="data_prep.fetch dit-xl-2-256"):
        backbones.load("dit-xl-2-256", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="noise_schedule.pt.*data_prep.fetch plaid-1b"):
        backbones.load("plaid-1b", folder=tmp_path)
    torch.save(official.dit_checkpoint(32, 2), tmp_path / "DiT-XL-2-256x256.pt")
    with pytest.raises(ValueError, match="32 wide"):
        backbones.load("dit-xl-2-256", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="data_prep.fetch sd-vae-ft-mse"):
        backbones.load("dit-xl-2-256", folder=tmp_path, heads=2, vae=tmp_path / "none")
    with pytest.raises(ValueError, match="does not take length; it takes vae, heads"):
        backbones.load("dit-xl-2-256", folder=tmp_path, length=8)
    with pytest.raises(ValueError, match="precision 'int8'.*bfloat16"):
        backbones.load("dit-xl-2-256", folder=tmp_path, precision="int8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_embedder.proj.weight": None}, r"lacks x_embedder\.proj\.weight, which tells the size"),
        ({"pos_embed": None}, r"lacks pos_embed, which tells the size"),
        ({"t_embedder.mlp.2.bias": None}, r"lacks t_embedder\.mlp\.2\.bias: expected .* shape \(32,\)"),
        ({"blocks.1.attn.qkv.weight": None}, r"lacks blocks\.1\.attn\.qkv\.weight: expected .*\(96, 32\)"),
        ({"blocks.0.attn.extra": torch.ones(1)}, r"holds blocks\.0\.attn\.extra: the model has no such"),
        ({"blocks.7.attn.qkv.bias": torch.ones(96)}, r"lacks every tensor of blocks\.2; the last .* is 7"),
        ({"ema_decay": torch.ones(())}, r"holds ema_decay: the model has no such tensor"),
        (
            {"blocks.1.attn.qkv.bias": torch.ones(64)},
            r"blocks\.1\.attn\.qkv\.bias is of shape \(64,\), .*\(96,\)",
        ),
        (
            {"pos_embed": torch.ones(1, 17, 32)},
            r"pos_embed is of shape \(1, 17, 32\), expected \(1, 16, 32\)",
        ),
        (
            {"blocks.0.mlp.fc1.bias": torch.full((128,), float("inf"))},
            r"blocks\.0\.mlp\.fc1\.bias has 128 of 128 values",
        ),
        ({"final_layer.linear.bias": torch.ones(31)}, r"final_layer\.linear\.\w+ is of shape"),
    ],
)
def test_an_official_checkpoint_that_is_not_one_is_named(tmp_path, change, message):
    path = tmp_path / "DiT-XL-2-256x256.pt"
    state = official.dit_checkpoint(32, 2) | change
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    with pytest.raises(ValueError, match=rf"DiT-XL-2-256x256\.pt:? {message}"):
        backbones.load("dit-xl-2-256", folder=tmp_path, heads=2)


def test_heads_that_do_not_divide_the_published_width_are_refused(tmp_path):
    torch.save(official.dit_checkpoint(32, 2), tmp_path / "DiT-XL-2-256x256.pt")
    with pytest.raises(ValueError, match=r"DiT-XL-2-256x256\.pt is 32 wide, which 5 heads do not divide"):
        backbones.load("dit-xl-2-256", folder=tmp_path, heads=5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.conv_in.bias": None}, r"vae lacks encoder\.conv_in\.bias, one of 1 tensors"),
        ({"other": torch.ones(1)}, r"vae holds other, one of 1 tensors"),
        (
            {"encoder.conv_in.bias": torch.ones(3)},
            r"vae: encoder\.conv_in\.bias is of shape \(3,\), expected \(8,\)",
        ),
        ({"encoder.conv_in.bias": torch.full((8,), float("nan"))}, r"vae: encoder\.conv_in\.bias has 8 of 8"),
    ],
)
def test_an_autoencoder_that_is_not_whole_is_named(tmp_path, vae, change, message):
    """diffusers puts random numbers in the place of what is missing."""
    path = vae / "diffusion_pytorch_model.safetensors"
    state = load_file(path) | change
    save_file({name: value for name, value in state.items() if value is not None}, path)
    torch.save(official.dit_checkpoint(32, 2), tmp_path / "DiT-XL-2-256x256.pt")
    with pytest.raises(ValueError, match=message):
        backbones.load("dit-xl-2-256", folder=tmp_path, heads=2)


@pytest.mark.parametrize("content", [b"", b"{", None])
def test_an_autoencoder_that_cannot_be_read_is_named(tmp_path, vae, content):
    torch.save(official.dit_checkpoint(32, 2), tmp_path / "DiT-XL-2-256x256.pt")
    path = vae / "diffusion_pytorch_model.safetensors"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(OSError, match=r"vae cannot be read: .*data_prep\.fetch"):
        backbones.load("dit-xl-2-256", folder=tmp_path, heads=2)


def test_a_diffusers_folder_that_is_not_whole_is_named(tmp_path, vae):
    network = DiTTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=1,
        sample_size=8, patch_size=2, num_embeds_ada_norm=10,
    )  # fmt: skip
    network.save_pretrained(tmp_path / "transformer")
    path = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    backbones.load("dit-xl-2-256", folder=tmp_path)
    del state["proj_out_1.bias"]
    save_file(state, path)
    with pytest.raises(ValueError, match=r"transformer lacks proj_out_1\.bias"):
        backbones.load("dit-xl-2-256", folder=tmp_path)


# Its images.


def test_framings(images):
    wide = Image.new("RGB", (300, 100), "white")
    wide.paste((0, 0, 0), (0, 0, 60, 100))  # the left fifth is black
    for framing, dark in (("published", 0), ("centre", 0), ("whole", 0.2)):
        made = np.asarray(square(wide, 40, framing))
        assert made.shape == (40, 40, 3)
        assert abs((made < 128).mean() - dark) < 0.03
    with pytest.raises(ValueError, match="framing 'zoom'.*whole"):
        square(wide, 40, "zoom")


@torch.inference_mode()
def test_latents_are_the_scaled_mean_or_a_sample_that_the_pixels_decide():
    network = official.autoencoder()
    pixels = torch.rand(3, 3, 32, 32) * 2 - 1
    moments = network.eval().encode(pixels).latent_dist
    torch.testing.assert_close(autoencoder.Autoencoder(network).encode(pixels), 0.18215 * moments.mean)
    sampling = autoencoder.Autoencoder(network, "sample")
    drawn = sampling.encode(pixels)
    torch.testing.assert_close(sampling.encode(pixels[[2, 0]]), drawn[[2, 0]])
    score = (drawn / 0.18215 - moments.mean) / moments.std
    assert 0.8 < score.std() < 1.2
    assert sampling.decode(drawn).shape == pixels.shape
    with pytest.raises(ValueError, match="posterior 'mode'"):
        autoencoder.Autoencoder(network, "mode")


# Plaid.


@pytest.fixture
def plaid_files(tmp_path):
    """The files of a Plaid with random weights, and its tokenizer."""
    model = tiny.plaid(width=32, depth=3)
    official.write_plaid(model, tmp_path)
    return model, tmp_path


def test_plaid_is_read_from_its_four_files(plaid_files):
    model, folder = plaid_files
    read = backbones.load("plaid-1b", folder=folder, length=6)
    assert (read.width, read.depth, len(read.matrix)) == (32, 3, 9)
    latents = read.latents(["cat sits here", "dog runs"])
    assert torch.equal(latents.z, model.latents(["cat sits here", "dog runs"]).z)
    for block, tokens in read.states(latents.z, 30, [0, 1, 3]).items():
        assert torch.equal(tokens, model.states(latents.z, 30, [block])[block])
    untrained = backbones.load("plaid-1b", False, folder=folder, length=6)
    assert untrained.schedule.alpha_sigma(30) == read.schedule.alpha_sigma(30)
    assert not torch.equal(untrained.matrix, read.matrix)


def test_plaid_refuses_the_tokenizer_of_another_model(plaid_files, tmp_path):
    _, folder = plaid_files
    other = tiny.plaid().tokenizer
    text = other.to_str().replace("<|endoftext_R9VQqF0Ag7|>", "<|other|>")
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(ValueError, match="is not Plaid's tokenizer"):
        backbones.load("plaid-1b", folder=folder, tokenizer=tmp_path / "other.json")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (0, {"W1": None}, r"noise_schedule\.pt lacks W1: expected W1 of shape \(1024, 1\)"),
        (1, {"gamma_1": torch.tensor(float("nan"))}, r"gamma_bounds\.pt: gamma_1 has 1 of 1 values"),
        (
            2,
            {"matrix": None, "weight": torch.ones(9, 4)},
            r"embedding_matrix\.pt lacks matrix, .*it holds weight",
        ),
        (2, {"matrix": torch.ones(9)}, r"embedding_matrix\.pt: matrix is of shape \(9,\), expected 2 axes"),
        (3, {"output_norm.weight": None}, r"model\.pt lacks output_norm\.weight, which tells the size"),
        (3, {"rotary_emb.inv_freq": None}, r"model\.pt lacks rotary_emb\.inv_freq, which tells the size"),
        (3, {"rotary_emb.inv_freq": torch.ones(5)}, r"model\.pt: rotary_emb\.inv_freq is of heads of 10"),
        (
            3,
            {"blocks.1.attn_qkv.weight": torch.ones(32, 32)},
            r"model\.pt: blocks\.1\.attn_qkv\.weight is of shape",
        ),
        (3, {"blocks.2.mlp.fc3.weight": torch.ones(1)}, r"model\.pt holds blocks\.2\.mlp\.fc3\.weight"),
    ],
)
def test_a_plaid_that_is_not_one_is_named(plaid_files, file, change, message):
    _, folder = plaid_files
    path = folder / "weights" / published.PLAID_FILES[file]
    state = torch.load(path, weights_only=True) | change
    torch.save({name: value for name, value in state.items() if value is not None}, path)
    with pytest.raises(ValueError, match=message):
        backbones.load("plaid-1b", folder=folder, length=6)


def test_a_damaged_tokenizer_is_named(plaid_files):
    _, folder = plaid_files
    path = folder / published.TOKENIZER
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"owt2_tokenizer\.json is damaged .*data_prep\.fetch plaid-1b"):
        backbones.load("plaid-1b", folder=folder)


# Precision and random weights.


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_lower_precision_gives_nearly_the_same_features(precision):
    for model in (tiny.dit(width=64, depth=4), tiny.plaid(width=64, depth=4)):
        z = torch.randn(8, *model.latent_shape)
        exact = model.states(z, 30, [4])[4].mean(dim=1)
        low = model.run_in(backbones.PRECISIONS[precision]).states(z, 30, [4])[4].float().mean(dim=1)
        assert not torch.equal(low, exact)
        assert functional.cosine_similarity(low, exact).min() > 0.9999


def test_models_with_random_weights_need_no_files(monkeypatch, tmp_path):
    monkeypatch.setitem(published.DIT_XL, "width", 32)
    monkeypatch.setitem(published.DIT_XL, "depth", 2)
    monkeypatch.setitem(autoencoder.SHAPE, "block_out_channels", (32, 32, 32, 32))
    first, same, other = (backbones.load("dit-xl-2-256-random", flag) for flag in (True, True, False))
    assert first.sha256 == same.sha256 != other.sha256
    assert first.latents([Image.new("RGB", (300, 280))]).z.shape == (1, 4, 32, 32)
    tiny.plaid().tokenizer.save(str(tmp_path / published.TOKENIZER))
    monkeypatch.setattr(published, "PLAID_1B", dict(vocabulary=9, width=32, depth=2, heads=2))
    text = backbones.load("plaid-1b-random", folder=tmp_path, length=16)
    assert text.latents(["cat sits"]).z.shape == (1, 16, 16)
    assert isinstance(text, Plaid)


def test_the_hash_follows_all_that_decides_features(tmp_path, vae):
    torch.save(official.dit_checkpoint(32, 2), tmp_path / "DiT-XL-2-256x256.pt")

    def sha(**options):
        return backbones.load("dit-xl-2-256", folder=tmp_path, heads=2, **options).sha256

    torch.manual_seed(1)
    other = official.autoencoder()
    torch.nn.init.normal_(other.encoder.conv_in.weight)
    other.save_pretrained(tmp_path / "other")
    hashes = [sha(), sha(posterior="sample"), sha(framing="whole"), sha(precision="bfloat16")]
    hashes.append(sha(vae=tmp_path / "other"))
    assert len(set(hashes)) == 5
    assert sha(vae=vae) == hashes[0]  # where a file lies decides nothing
