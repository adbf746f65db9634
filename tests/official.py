"""Checkpoints in the layouts that the models' authors publish, small and with random weights."""

import numpy as np
import torch
from diffusers import AutoencoderKL

from difffeat.backbones import published
from difffeat.backbones.dit import DiT


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
