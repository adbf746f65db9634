"""Draw images or texts from a backbone, to see what it has learned."""

from collections.abc import Sequence

import numpy as np
import torch

from difffeat.backbones.base import Backbone
from difffeat.features.schedule import STEPS, noise


@torch.inference_mode()
def sample(
    backbone: Backbone,
    n: int,
    *,
    steps: int = 100,
    seed: int = 0,
    guidance: float = 0.0,
    perturbed: Sequence[int] = (),
) -> torch.Tensor:
    """Ancestral sampling: start from noise, and step towards the model's own estimates.

    Parameters
    ----------
    backbone : Backbone
    n : int, how many
    steps : int in [2, 1000], model calls; their timesteps are evenly spaced from 999 to 0
    seed : int
    guidance : float; with w, an estimate is pushed by w times its distance from that of the same model with
        identity attention in the `perturbed` blocks, which draws texture without structure. For DiT; the last
        estimate, at t = 0, is the model's own.
    perturbed : sequence of int, blocks b from 1

    Returns
    -------
    Tensor of shape (n, ...), clean latents; `backbone.decode` makes images or texts of them

    Source
    ------
    Ho et al. 2020 (DDPM), equation 7, for any pair of timesteps; Plaid's estimate conditions its next one.
    Guidance: Ahn et al. 2024, "Self-Rectifying Diffusion Sampling with Perturbed-Attention Guidance".
    """
    if not 2 <= steps <= STEPS:
        raise ValueError(f"steps must be in [2, {STEPS}], got {steps}")
    if guidance and not perturbed:
        raise ValueError(f"guidance {guidance} needs blocks to be perturbed, such as perturbed=[4, 5, 6, 7]")
    z = noise(seed, range(n), backbone.latent_shape).to(backbone.device)
    generator = torch.Generator().manual_seed(seed)
    clock = np.linspace(STEPS - 1, 0, steps).round().astype(int).tolist()
    clean = None
    for now, later in zip(clock[:-1], clock[1:], strict=True):
        clean = _estimate(backbone, z, now, clean, guidance, perturbed)
        alpha, sigma = backbone.schedule.alpha_sigma(now)
        next_alpha, next_sigma = backbone.schedule.alpha_sigma(later)
        # Share of the noise that this step takes away: 1 - SNR(now) / SNR(later).
        gone = 1 - (alpha * next_sigma / (next_alpha * sigma)) ** 2
        mean = next_alpha * ((1 - gone) / alpha * z + gone * clean)
        fresh = torch.randn(z.shape, generator=generator).to(z)
        z = mean + next_sigma * gone**0.5 * fresh
    return backbone.predict(z, 0, clean)


def _estimate(backbone, z, timestep, previous, guidance, perturbed):
    """The clean latents that the model sees, pushed away from what it sees without structure."""
    clean = backbone.predict(z, timestep, previous)
    if not guidance:
        return clean
    with backbone.identity_attention(perturbed):
        return clean + guidance * (clean - backbone.predict(z, timestep, previous))
