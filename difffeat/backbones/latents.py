"""How pictures become what an image backbone reads: squares of pixels, and the latents of small images."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from difffeat.base.checkpoint import axes_of, check_tensors, digest_of, read_checkpoint


class PatchPCA:
    """Latents of small images: principal components of square pixel patches, partly whitened.

    Together the components have the variance that the schedule expects of a latent, 1. What the dropped ones
    held (fine texture) is lost, as in a VAE.

    Parameters
    ----------
    mean : Tensor of shape (3 patch^2,)
    basis : Tensor of shape (3 patch^2, C), orthonormal columns
    scale : Tensor of shape (C,), by which each column's component is divided
    """

    def __init__(self, mean: torch.Tensor, basis: torch.Tensor, scale: torch.Tensor) -> None:
        self.mean, self.basis, self.scale = mean, basis, scale
        self.patch = round((len(mean) / 3) ** 0.5)

    @classmethod
    def fit(cls, pixels: torch.Tensor, *, patch: int, channels: int, whitening: float = 1.0) -> Self:
        """Components of pixels (N, 3, S, S) in [-1, 1], the `channels` with most variance.

        `whitening` 1 gives all components the same variance, 0 leaves their variances as they are, one half
        takes the square root: what is coarse then stands out of the noise before what is fine, as in pixels,
        but the fine is not lost among the coarse.
        """
        patches = (
            functional.unfold(pixels, patch, stride=patch).transpose(1, 2).flatten(0, 1).double()
        )  # (N T, 3 patch^2)
        mean = patches.mean(0)
        variance, basis = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))  # ascending
        variance, basis = variance.flip(0)[:channels], basis.flip(1)[:, :channels]
        # An eigenvector's sign is arbitrary and differs between machines: make its largest entry positive.
        basis = basis * basis.gather(0, basis.abs().argmax(0, keepdim=True)).sign()
        scale = (variance**whitening * (variance ** (1 - whitening)).mean()).sqrt()
        return cls(mean.float(), basis.float(), scale.float())

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (N, 3, S, S) in [-1, 1] to latents (N, C, S / patch, S / patch)."""
        patches = functional.unfold(pixels, self.patch, stride=self.patch).transpose(
            1, 2
        )  # (N, T, 3 patch^2)
        z = (patches - self.mean) @ self.basis / self.scale  # (N, T, C)
        return z.transpose(1, 2).unflatten(2, (pixels.shape[-1] // self.patch, -1))

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (N, C, H, H) to pixels (N, 3, H patch, H patch), clipped to [-1, 1]."""
        patches = (z.flatten(2).transpose(1, 2) * self.scale) @ self.basis.T + self.mean  # (N, T, 3 patch^2)
        size = z.shape[-1] * self.patch
        return functional.fold(patches.transpose(1, 2), size, self.patch, stride=self.patch).clamp(-1, 1)

    def identity(self) -> str:
        """Hash of all that decides latents."""
        return digest_of(self._tensors())

    def _tensors(self):
        return {"mean": self.mean, "basis": self.basis, "scale": self.scale}

    def save(self, path: Path | str) -> None:
        """Write the three tensors as safetensors, in float32."""
        save_file({name: value.contiguous() for name, value in self._tensors().items()}, path)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what `save` wrote; ValueError names a tensor that is missing, too many or not as expected."""
        state = read_checkpoint(path)
        rows, columns = axes_of(state, "basis", 2, path)
        check_tensors(state, {"mean": (rows,), "basis": (rows, columns), "scale": (columns,)}, path)
        if rows != 3 * math.isqrt(rows // 3) ** 2:
            raise ValueError(f"{path}: basis has {rows} rows, expected 3 times a patch of p x p pixels")
        if not bool((state["scale"] > 0).all()):
            raise ValueError(f"{path}: scale is {float(state['scale'].min())} at least, expected above 0")
        return cls(**state)


FRAMINGS = ("published", "centre", "whole")


def pixels(images: Iterable[Image.Image], side: int, framing: str = "published") -> torch.Tensor:
    """N PIL images to pixels (N, 3, side, side) in [-1, 1], see `square`."""
    squares = [np.asarray(square(image.convert("RGB"), side, framing)) for image in images]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 127.5 - 1


def square(image: Image.Image, side: int, framing: str = "published") -> Image.Image:
    """A picture as a square of `side` pixels.

    Parameters
    ----------
    image : PIL image
    side : int
    framing : str
        "published" is what DiT was trained on: halved by averaging while twice too large, resized to
        `side` on the short edge, and the middle of that. "centre" takes the middle square first and resizes
        that in one step. "whole" squeezes all of the picture into the square.
    """
    if framing not in FRAMINGS:
        raise ValueError(f"framing {framing!r} is unknown; known: {', '.join(FRAMINGS)}")
    if image.size == (side, side):
        return image
    if framing == "whole":
        return image.resize((side, side), Image.Resampling.BICUBIC)
    if framing == "centre":
        return _middle(image, min(image.size)).resize((side, side), Image.Resampling.BICUBIC)
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    size = round(image.width * scale), round(image.height * scale)
    return _middle(image.resize(size, Image.Resampling.BICUBIC), side)


def _middle(image, edge):
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return image.crop((left, top, left + edge, top + edge))
