"""Stable Diffusion 1.5 and SDXL from the folders that their authors publish, in the layout of diffusers.

`python -m data_prep.fetch sd-1.5` or `sdxl-1.0` gets them. A folder has `unet`, `vae`, `scheduler`,
`tokenizer` and `text_encoder`; SDXL's also `tokenizer_2` and `text_encoder_2`. Every image is read with the
same prompt, by default the empty one, encoded as any other.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from difffeat.backbones.autoencoder import Autoencoder
from difffeat.backbones.clip_text import Words, read_encoder
from difffeat.backbones.published import folder_of, pretrained
from difffeat.backbones.unet import Prompt, UNet
from difffeat.features.schedule import DDPM

POWERS = {"linear": 1.0, "scaled_linear": 0.5}  # by which betas are linear
# What the published networks differ in from the defaults of diffusers.
SD_15 = {"cross_attention_dim": 768}
SDXL = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SHAPES = {"sd-1.5": SD_15, "sdxl-1.0": SDXL}


def sd_15(
    folder: Path | str | None,
    trained: bool,
    *,
    prompt: str = "",
    posterior: str = "mean",
    framing: str = "whole",
    variant: str | None = None,
) -> UNet:
    """Stable Diffusion 1.5, or any model of its layout, with one text encoder.

    Parameters
    ----------
    folder : path of the folder; by default where `data_prep.fetch` puts it
    trained : bool, False for the untrained copy: random weights of the U-Net, the same prompt and autoencoder
    prompt : str, what the model is told of every image
    posterior : "mean" or "sample" of the autoencoder's code
    framing : "published", "centre" or "whole", see `DiT`; Meng et al. squeeze the whole picture in
    variant : str, optional; "fp16" reads the U-Net's and the autoencoder's files of half precision

    Returns
    -------
    UNet
    """
    source = _whole(folder, "sd-1.5", ["tokenizer", "text_encoder"])
    words = Words(source / "tokenizer")
    encoded = read_encoder(source / "text_encoder", words.end)(words([prompt]))
    told = Prompt(prompt, encoded.last)
    return _built(source, trained, told, posterior, framing, variant)


def sdxl(
    folder: Path | str | None,
    trained: bool,
    *,
    prompt: str = "",
    posterior: str = "mean",
    framing: str = "whole",
    variant: str | None = None,
) -> UNet:
    """SDXL's base model, or any of its layout, with two text encoders.

    It is told besides that pictures are of its size, and were not cropped.

    Parameters
    ----------
    folder, trained, prompt, posterior, framing, variant : as for `sd_15`

    Returns
    -------
    UNet
    """
    names = ["", "_2"]
    parts = [f"{part}{name}" for name in names for part in ("tokenizer", "text_encoder")]
    source, encoded = _whole(folder, "sdxl-1.0", parts), []
    for name in names:
        words = Words(source / f"tokenizer{name}")
        encoded.append(read_encoder(source / f"text_encoder{name}", words.end)(words([prompt])))
    tokens = torch.cat([one.penultimate for one in encoded], dim=2)  # (1, S, E)
    told = Prompt(prompt, tokens, encoded[1].pooled)
    return _built(source, trained, told, posterior, framing, variant)


def random(name: str, folder: Path | str | None, trained: bool, *, framing: str = "whole") -> UNet:
    """A model of the published shape with random weights, of the prompt too; other ones for `trained=False`.

    Parameters
    ----------
    name : "sd-1.5" or "sdxl-1.0"
    folder, trained, framing : as for `sd_15`

    Returns
    -------
    UNet
    """
    network = UNet2DConditionModel(**SHAPES[name])
    config, pooled = network.config, None
    if config.addition_embed_type:
        sizes = 6 * config.addition_time_embed_dim
        pooled = torch.randn(1, config.projection_class_embeddings_input_dim - sizes)
    told = Prompt("", torch.randn(1, 77, config.cross_attention_dim), pooled)
    schedule = DDPM(beta_min=0.00085, beta_max=0.012, power=POWERS["scaled_linear"])
    how = dict(prompt=told, schedule=schedule, image_side=8 * config.sample_size, framing=framing)
    return UNet(network, encoder=Autoencoder.random(), **how)


def _whole(folder, name, parts):
    """The folder of a model, if all its parts are there."""
    source = Path(folder or folder_of(name))
    lacking = [part for part in ("unet", "vae", "scheduler", *parts) if not (source / part).is_dir()]
    if lacking:
        raise FileNotFoundError(
            f"{source} lacks the folders {', '.join(lacking)}: get them with `python -m data_prep.fetch "
            f"{name}`, or name another folder"
        )
    return source


def _built(source, trained, told, posterior, framing, variant):
    """The U-Net of a folder, with its autoencoder and its noise levels."""
    network = pretrained(UNet2DConditionModel, source, "unet", variant)
    if not trained:
        network = UNet2DConditionModel.from_config(network.config)
    autoencoder = pretrained(AutoencoderKL, source, "vae", variant)
    schedule, prediction = read_schedule(source / "scheduler")
    shrunk = 2 ** (len(autoencoder.config.block_out_channels) - 1)
    return UNet(
        network,
        prompt=told,
        schedule=schedule,
        prediction=prediction,
        image_side=shrunk * network.config.sample_size,
        encoder=Autoencoder(autoencoder, posterior, autoencoder.config.scaling_factor),
        framing=framing,
    )


def read_schedule(folder: Path | str) -> tuple[DDPM, str]:
    """The noise levels of a scheduler's folder, and what its model says: "epsilon" or "v_prediction".

    The clock is the one that the model was trained with, 0 to 999. How a sampler spaces its steps on it does
    not matter here. The scheduler that Meng et al. run SD 1.5 with counts one step twice, so that their t =
    50 is timestep 51 of this clock; with SDXL's it is 50.

    Raises
    ------
    ValueError
        If betas are spaced in a way that is not known.
    """
    path = Path(folder) / "scheduler_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    spacing = config.get("beta_schedule", "linear")
    if spacing not in POWERS:
        raise ValueError(f"{path}: beta_schedule is {spacing!r}; known: {', '.join(POWERS)}")
    given = {"steps": "num_train_timesteps", "beta_min": "beta_start", "beta_max": "beta_end"}
    held = {ours: config[name] for ours, name in given.items() if name in config}
    return DDPM(**held, power=POWERS[spacing]), config.get("prediction_type", "epsilon")
