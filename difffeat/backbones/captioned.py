"""A small U-Net that attends to captions: what `data_prep.training.unet` trains.

N images, S tokens of a caption, E their width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from diffusers import UNet2DConditionModel

from difffeat.backbones.unet import Prompt, UNet

if TYPE_CHECKING:
    from difffeat.backbones.autoencoder import Autoencoder
    from difffeat.backbones.latents import PatchPCA

EMPTY = ""  # the caption that stands for none: what features are read with


class CaptionedUNet(UNet):
    """A `UNet2DConditionModel` of one width, with transformers at every resolution.

    While it is trained it is told captions, as the output of a frozen text model's last block, and now and
    then the empty one. Features are read with the empty one, whose tokens are kept with the weights: no
    caption, and no text model, is needed for them.

    Parameters
    ----------
    channels, side : int, C and H = W of the latents
    width, heads : int; all levels are of one width, so that the outputs of all blocks are
    levels : int, resolutions; each is half of the one before
    repeats : int, residual modules and transformers of a level on the way down; one more on the way up
    groups : int, of channels that are normalised together
    length, text_width : int, S and E
    image_side : int, pixels; images are resized to this square before they are encoded
    encoder : PatchPCA
    framing : str, how a picture becomes a square, see `latents.square`
    """

    def __init__(
        self,
        *,
        channels: int,
        side: int,
        width: int,
        heads: int,
        levels: int,
        repeats: int,
        groups: int,
        length: int,
        text_width: int,
        image_side: int | None = None,
        encoder: Autoencoder | PatchPCA | None = None,
        framing: str = "published",
    ) -> None:
        for part, count in (("heads", heads), ("groups", groups)):
            if width % count:
                raise ValueError(f"{part} {count} does not divide width {width}: choose one that does")
        if side % 2 ** (levels - 1):
            raise ValueError(f"side {side} cannot be halved {levels - 1} times: choose fewer levels")
        network = UNet2DConditionModel(
            sample_size=side,
            in_channels=channels,
            out_channels=channels,
            down_block_types=("CrossAttnDownBlock2D",) * levels,
            up_block_types=("CrossAttnUpBlock2D",) * levels,
            block_out_channels=(width,) * levels,
            layers_per_block=repeats,
            cross_attention_dim=text_width,
            attention_head_dim=heads,  # diffusers takes the number of heads by this name
            norm_num_groups=groups,
        )
        told = Prompt(EMPTY, torch.zeros(1, length, text_width))
        super().__init__(network, prompt=told, image_side=image_side, encoder=encoder, framing=framing)
