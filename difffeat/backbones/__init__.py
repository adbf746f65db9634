"""The frozen diffusion models that features are read from: `load` one by name.

`base` says what each offers; `dit` and `unet` read images, `plaid` text. `shipped` builds those that this
project trained, `published` the paper's own, `stable_diffusion` the U-Nets that others published;
`autoencoder` is that of the published image models, `clip_text` reads their prompts. `sampling` draws from a
model; `taps` looks inside a block, `unet_places` names what a U-Net has inside.
"""

import inspect
from functools import partial
from pathlib import Path

import torch

from difffeat.backbones.base import Backbone, Latents
from difffeat.backbones.shipped import TRAINED_HERE, weights_folder

__all__ = ["Backbone", "Latents", "load", "weights_folder"]


def _shipped(name):
    from difffeat.backbones import shipped

    return partial(shipped.build, name)


def _published(builder):
    from difffeat.backbones import published  # and with it all of diffusers, which takes seconds

    return getattr(published, builder)


def _stable(builder, *given):
    from difffeat.backbones import stable_diffusion

    return partial(getattr(stable_diffusion, builder), *given)


# name -> what gives the builder: a page loads the libraries of the models that it names alone
BUILDERS = {
    **{name: partial(_shipped, name) for name in TRAINED_HERE},
    "dit-xl-2-256": partial(_published, "dit_xl"),
    "plaid-1b": partial(_published, "plaid_1b"),
    "dit-xl-2-256-random": partial(_published, "dit_xl_random"),
    "plaid-1b-random": partial(_published, "plaid_1b_random"),
    "sd-1.5": partial(_stable, "sd_15"),
    "sdxl-1.0": partial(_stable, "sdxl"),
    **{f"{name}-random": partial(_stable, "random", name) for name in ("sd-1.5", "sdxl-1.0")},
}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def load(
    name: str,
    trained: bool = True,
    seed: int = 0,
    *,
    folder: Path | str | None = None,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    compiled: bool = False,
    **options: object,
) -> Backbone:
    """Build a backbone and load its weights.

    Parameters
    ----------
    name : one of `BUILDERS`: "dit-scenes", "plaid-scenes", "unet-scenes", "dit-xl-2-256", "plaid-1b",
        "sd-1.5", "sdxl-1.0", the last four with "-random" too, or one of those trained on real data, as
        "dit-fashion" and "plaid-captions"
    trained : bool
        False gives the untrained copy, the floor under what training has taught: the same shape with random
        weights, the same latents or tokenizer, and the same noise levels. Its embeddings are random too.
    seed : int, of the random weights
    folder : path, optional; where the files are, if not among the shipped or fetched ones
    device : str, "cpu" or "cuda"
    precision : "float32", "bfloat16" or "float16", of the blocks' products (autocast)
    compiled : bool, compile the blocks: minutes at the start, faster after
    **options : of the model, see its builder in `published` or `stable_diffusion`

    Returns
    -------
    Backbone in evaluation mode, parameters in float32

    Raises
    ------
    ValueError
        If the name, the precision or an option is unknown; the message gives the known ones.
    FileNotFoundError
        If the files are not there; the message gives the command that makes or gets them.
    """
    for what, value, known in (("backbone", name, BUILDERS), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise ValueError(f"unknown {what} {value!r}: choose one of {', '.join(known)}")
    build = BUILDERS[name]()
    taken = [option for option in inspect.signature(build).parameters if option not in ("folder", "trained")]
    if unknown := sorted(options.keys() - set(taken)):
        raise ValueError(
            f"{name} does not take {', '.join(unknown)}; it takes {', '.join(taken) or 'no options'}"
        )
    with torch.random.fork_rng(devices=[]):
        # The untrained copy of a model with random weights has other ones.
        torch.manual_seed(seed + (name.endswith("-random") and not trained))
        model = build(folder, trained, **options)
    model.name = name if trained else f"{name}-untrained"
    model.eval().requires_grad_(False).run_in(PRECISIONS[precision])
    model.sha256 = model.identity()
    model.to(device)
    if _autoencoder(model):
        model.encoder.to(device)
    if compiled:
        for block in model.blocks:
            block.compile()
    return model


def _autoencoder(model):
    """Whether the model reads images through a network of its own, which its parameters do not include."""
    return hasattr(getattr(model, "encoder", None), "to")
