"""Small splits and randomly initialised backbones, through the classes that the real ones use."""

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from difffeat.backbones.dit import DiT
from difffeat.backbones.latents import PatchPCA, pixels
from difffeat.backbones.plaid import END, Plaid
from difffeat.backbones.unet import Prompt, UNet
from difffeat.features.datasets import Split

WORDS = ("cat", "dog", "cow", "sits", "runs", "sleeps", "here", "there")
NAMES = WORDS[:3]


def split(count, *, folder=None, name="val", first=100):
    """`count` samples with captions, and with JPEG images of noise where a folder is given."""
    random = np.random.default_rng(count)
    ids = first + random.permutation(count)
    captions = [" ".join(random.choice(WORDS, size=1 + sample % 5)) for sample in range(count)]
    labels = np.array([[word in caption for word in NAMES] for caption in captions])
    images = [folder / f"{sample:06d}.jpg" for sample in ids] if folder else []
    for path in images:
        Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(path)
    return Split(name, ids, NAMES, labels, captions, images, "tiny")


def dit(width=16, depth=3, seed=0):
    """An image backbone on 4 x 4 latents of 16 pixels, with gates open so that every block does something."""
    torch.manual_seed(seed)
    encoder = PatchPCA.fit(pixels(_noise_images(), 16), patch=4, channels=4)
    model = DiT(
        channels=4, side=4, patch=1, width=width, depth=depth, heads=2, classes=1,
        image_side=16, encoder=encoder, closed_gates=False,
    )  # fmt: skip
    model.name, model.sha256 = "dit-tiny", f"random-{seed}"
    return model.eval()


def unet(widths=(16, 32), seed=0, **changes):
    """A U-Net on 4 x 4 latents of 16 pixels, with transformers at its first level and in the middle."""
    torch.manual_seed(seed)
    encoder = PatchPCA.fit(pixels(_noise_images(), 16), patch=4, channels=4)
    shape = dict(
        sample_size=4, block_out_channels=widths, layers_per_block=1, attention_head_dim=2,
        cross_attention_dim=8, norm_num_groups=8, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    network = UNet2DConditionModel(**shape | changes)
    model = UNet(network, prompt=Prompt("", torch.randn(1, 5, 8)), image_side=16, encoder=encoder)
    model.name, model.sha256 = "unet-tiny", f"random-{seed}-{widths}"
    return model.eval()


def plaid(width=16, depth=2, length=6, seed=0):
    """A text backbone with one token per word."""
    torch.manual_seed(seed)
    tokenizer = Tokenizer(
        WordLevel({END: 0} | {word: place for place, word in enumerate(WORDS, 1)}, unk_token=END)
    )
    tokenizer.pre_tokenizer = Whitespace()
    model = Plaid(
        vocabulary=1 + len(WORDS),
        width=width,
        depth=depth,
        heads=2,
        length=length,
        embedding=4,
        tokenizer=tokenizer,
    )
    model.name, model.sha256 = "plaid-tiny", f"random-{seed}"
    return model.eval()


def _noise_images():
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 255, (16, 16, 3), dtype=np.uint8)) for _ in range(16)]
