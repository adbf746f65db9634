"""Checkpoints in the layouts that the models' authors publish, small and with random weights."""

import json

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers import pre_tokenizers

from difffeat.backbones import published
from difffeat.backbones.clip_text import END, START, ClipText
from difffeat.backbones.dit import DiT
from difffeat.backbones.stable_diffusion import SHAPES


def dit_checkpoint(width, depth, *, side=8, classes=10):
    """A checkpoint as DiT's authors write it, every tensor random but the fixed positions."""
    generator = torch.Generator().manual_seed(width + depth)
    shapes = {
        "x_embedder.proj": (width, 4, 2, 2),
        "t_embedder.mlp.0": (width, 256),
        "t_embedder.mlp.2": (width, width),
        "final_layer.linear": (32, width),
        "final_layer.adaLN_modulation.1": (2 * width, width),
    }
    for block in range(depth):
        shapes |= {
            f"blocks.{block}.{name}": shape
            for name, shape in {
                "attn.qkv": (3 * width, width),
                "attn.proj": (width, width),
                "mlp.fc1": (4 * width, width),
                "mlp.fc2": (width, 4 * width),
                "adaLN_modulation.1": (6 * width, width),
            }.items()
        }
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * np.prod(shape[1:]) ** -0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=generator)
    state["y_embedder.embedding_table.weight"] = torch.randn(classes + 1, width, generator=generator)
    state["pos_embed"] = DiT(
        channels=4, side=side, patch=2, width=width, depth=1, heads=1, classes=1
    ).transformer.pos_embed.pos_embed.clone()
    return state


def autoencoder():
    """An autoencoder of Stable Diffusion's layout."""
    torch.manual_seed(0)
    blocks = {
        f"{way}_block_types": (f"{way.title()}{kind}Block2D",) * 4
        for way, kind in (("down", "Encoder"), ("up", "Decoder"))
    }
    return AutoencoderKL(**blocks, block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4)


def write_dit(folder, width=32, depth=2, *, side=8):
    """`DiT-XL-2-256x256.pt` and the folder `vae` in a folder; images have 8 x `side` pixels."""
    torch.save(dit_checkpoint(width, depth, side=side), folder / "DiT-XL-2-256x256.pt")
    autoencoder().save_pretrained(folder / "vae")


def write_plaid(model, folder):
    """The four files of a Plaid below a folder, and its tokenizer."""
    (folder / "weights").mkdir()
    state = model.state_dict()
    schedule = {name: state[f"schedule.{name}"] for name in ("W1", "b1", "W2")}
    bounds = {name: state[f"schedule.{name}"] for name in ("gamma_0", "gamma_1")}
    network = {
        name: value for name, value in state.items() if name.split(".")[0] not in ("schedule", "matrix")
    }
    network["rotary_emb.inv_freq"] = torch.zeros(8)  # half of a head's size, of which there are two
    for name, content in zip(
        published.PLAID_FILES, (schedule, bounds, {"matrix": state["matrix"]}, network), strict=True
    ):
        torch.save(content, folder / "weights" / name)
    model.tokenizer.save(str(folder / published.TOKENIZER))


MERGES = ("c a", "ca t</w>", "d o", "do g</w>")
SCHEDULERS = {
    "sd-1.5": {"_class_name": "PNDMScheduler", "skip_prk_steps": True, "set_alpha_to_one": False},
    "sdxl-1.0": {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"},
}
LEVELS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}


def write_words(folder, pad=END):
    """A tokenizer as CLIP has it, of single bytes and two words."""
    folder.mkdir(parents=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*alphabet, *(f"{sign}</w>" for sign in alphabet)]
    words += ["".join(pair.split()) for pair in MERGES] + [START, END]
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
    (folder / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad, "bos_token": {}}))
    return len(words)


def clip_config(vocabulary, width=8, depth=2, act="quick_gelu"):
    """The config.json of a text encoder."""
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": depth,
        "num_attention_heads": 2,
        "hidden_act": act,
        "max_position_embeddings": 77,
        "layer_norm_eps": 1e-5,
        "projection_dim": 6,
    }


def write_encoder(folder, config, projected=False):
    """A text encoder with random weights, and the positions that older files hold."""
    folder.mkdir(parents=True)
    state = ClipText(config, config["vocab_size"] - 1, projected).state_dict()
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))


def write_stable_diffusion(folder, name="sd-1.5"):
    """A folder of Stable Diffusion 1.5 or SDXL in the layout of diffusers: all its activations, none wide.

    Pictures have 128 or 64 pixels, so that the lowest resolution has four.
    """
    torch.manual_seed(0)
    large = name == "sdxl-1.0"
    shape = SHAPES[name] | dict(sample_size=8 if large else 16, norm_num_groups=8, attention_head_dim=2)
    shape |= dict(block_out_channels=(16, 16, 32) if large else (16, 16, 32, 32))
    shape |= dict(cross_attention_dim=20 if large else 8)
    if large:
        shape |= dict(addition_time_embed_dim=4, projection_class_embeddings_input_dim=6 * 4 + 6)
    UNet2DConditionModel(**shape).save_pretrained(folder / "unet")
    vae = autoencoder()
    vae.register_to_config(scaling_factor=0.13025 if large else 0.18215)
    vae.save_pretrained(folder / "vae")
    (folder / "scheduler").mkdir()
    levels = json.dumps(SCHEDULERS[name] | LEVELS)
    (folder / "scheduler" / "scheduler_config.json").write_text(levels)
    count = write_words(folder / "tokenizer")
    write_encoder(folder / "text_encoder", clip_config(count))
    if large:
        write_words(folder / "tokenizer_2", pad="!")
        write_encoder(folder / "text_encoder_2", clip_config(count, width=12, act="gelu"), projected=True)
