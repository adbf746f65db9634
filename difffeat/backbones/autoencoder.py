"""The autoencoder of Stable Diffusion, whose latents the published DiT was trained on."""

import hashlib
from typing import Self

import torch
from diffusers import AutoencoderKL

from difffeat.base.checkpoint import digest_of

SCALE = 0.18215  # brings the latents to about unit variance, what the diffusion schedule expects
POSTERIORS = ("mean", "sample")
# The published autoencoder's shape, for one with random weights.
SHAPE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
}


class Autoencoder:
    """Pixels to latents of an eighth of their side, and back.

    Parameters
    ----------
    network : diffusers.AutoencoderKL
    posterior : "mean" or "sample"
        The encoder puts out a normal distribution. The paper does not say which of its mean or a sample is
        taken. A sample's noise depends on the pixels alone, so that batches and machines do not matter.
    scale : float, by which codes are multiplied; SDXL's autoencoder has another than the default
    """

    def __init__(self, network: AutoencoderKL, posterior: str = "mean", scale: float = SCALE) -> None:
        if posterior not in POSTERIORS:
            raise ValueError(f"posterior {posterior!r} is unknown; known: {', '.join(POSTERIORS)}")
        self.network, self.posterior = network.eval().requires_grad_(False), posterior
        self.scale = scale

    @classmethod
    def random(cls, posterior: str = "mean") -> Self:
        """The published shape with random weights, for runs that try the plumbing."""
        return cls(AutoencoderKL(**SHAPE), posterior)

    def identity(self) -> str:
        """Hash of all that decides latents."""
        told = f"{self.posterior} {self.scale} {digest_of(self.network.state_dict())}"
        return hashlib.sha256(told.encode()).hexdigest()

    def to(self, device: torch.device | str) -> Self:
        """Move the network; channels last there, which its convolutions prefer."""
        self.network.to(device, memory_format=torch.channels_last)
        return self

    @torch.inference_mode()
    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (N, 3, S, S) in [-1, 1] to latents (N, 4, S / 8, S / 8), scaled, on the CPU."""
        moments = self.network.encode(pixels.to(self.network.device)).latent_dist
        latents = moments.mean.cpu()
        if self.posterior == "sample":
            noise = torch.stack([_noise_of(image, latents.shape[1:]) for image in pixels])
            latents = latents + moments.std.cpu() * noise
        return self.scale * latents

    @torch.inference_mode()
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (N, 4, H, H) to pixels (N, 3, 8 H, 8 H), clipped to [-1, 1]."""
        return self.network.decode(z.to(self.network.device) / self.scale).sample.clamp(-1, 1).cpu()


def _noise_of(image, shape):
    """Unit normal noise that the pixels of an image decide."""
    digest = hashlib.sha256(image.contiguous().numpy().tobytes()).digest()
    return torch.randn(shape, generator=torch.Generator().manual_seed(int.from_bytes(digest[:7], "big")))
