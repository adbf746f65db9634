"""From timestep to noise level, and the noise itself.

A timestep is the paper's integer clock for both models: 0 is the least noise, larger is noisier. A noised
latent is `alpha z + sigma noise` with alpha^2 + sigma^2 = 1. N samples; latents z (N, C, H, W) of images, (N,
T, E) of text.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.nn import functional

STEPS = 1000
NOISINGS = ("random", "mean", "ddim")
INVERSION_STEPS = 10


def parted(noising: str) -> tuple[str, int]:
    """The kind of a noising and its steps: ("ddim", 5) of "ddim-5", ("ddim", 10) of "ddim".

    Parameters
    ----------
    noising : str, one of `NOISINGS`, or "ddim-N" for N steps of the inversion; the others take no steps

    Raises
    ------
    ValueError
        If it is none of them; the message gives those there are.
    """
    kind, dash, count = noising.partition("-")
    steps = INVERSION_STEPS if not dash else int(count) if count.isdecimal() else 0
    if kind not in NOISINGS or steps < 1 or (dash and kind != "ddim"):
        known = ", ".join(NOISINGS)
        raise ValueError(f"noising {noising!r} is unknown; known: {known}, and ddim-N for N steps, as ddim-5")
    return kind, steps


def named(noising: str) -> str:
    """The one name of a noising, of several that say the same: "ddim" of "ddim-10"."""
    kind, steps = parted(noising)
    return kind if steps == INVERSION_STEPS else f"{kind}-{steps}"


def check_timestep(timestep: int, steps: int = STEPS) -> int:
    """Return `timestep` as an int in [0, steps); ValueError with the legal range otherwise."""
    if timestep != int(timestep) or not 0 <= timestep < steps:
        raise ValueError(
            f"timestep {timestep} is out of range: whole steps from 0 (least noise) to {steps - 1}"
        )
    return int(timestep)


def noise(seed: int, ids: ArrayLike, shape: Sequence[int]) -> torch.Tensor:
    """Unit normal noise that depends on the seed and the sample alone.

    Batch size, order, shard and machine do not matter: sample `i` of seed `s` always gets the same numbers,
    the same at every timestep.

    Parameters
    ----------
    seed : int, at least 0
    ids : sequence of N int, at least 0: the samples' ids
    shape : tuple of int, shape of one sample's latent

    Returns
    -------
    float32 Tensor of shape (N, *shape)
    """
    ids = np.asarray(ids, np.int64)
    if seed < 0 or (ids < 0).any():
        raise ValueError(
            f"noise takes a seed and ids of at least 0, got seed {seed} and ids from {ids.min()}"
        )
    drawn = np.empty((len(ids), *shape), np.float32)
    for row, sample in zip(drawn, ids, strict=True):
        key = np.array([seed, sample], np.uint64)
        row[...] = np.random.Generator(np.random.Philox(key=key)).standard_normal(shape, np.float32)
    return torch.from_numpy(drawn)


class DDPM:
    """The image model's schedule: linear betas, alpha^2 = cumulative product of 1 - beta.

    Parameters
    ----------
    steps : int
    beta_min, beta_max : float
    power : float, by which betas are linear: 1, or 0.5 where their square roots are

    Source
    ------
    Diff-Feat, section 3.1 (T = 1000); DiT's linear betas from 1e-4 to 0.02, in float64 as in its published
    code. Stable Diffusion's are linear in their square roots, from 0.00085 to 0.012.
    """

    def __init__(
        self, steps: int = STEPS, beta_min: float = 1e-4, beta_max: float = 0.02, power: float = 1.0
    ) -> None:
        self.steps = steps
        spaced = np.linspace(beta_min**power, beta_max**power, steps, dtype=np.float64)
        kept = np.cumprod(1 - spaced ** (1 / power))
        self._alpha, self._sigma = torch.from_numpy(np.sqrt(kept)), torch.from_numpy(np.sqrt(1 - kept))

    def alpha_sigma(self, timestep: int) -> tuple[float, float]:
        """Signal and noise scale, two floats, of an integer timestep in [0, steps)."""
        timestep = check_timestep(timestep, self.steps)
        return float(self._alpha[timestep]), float(self._sigma[timestep])

    def add_noise(self, z: torch.Tensor, timesteps: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """`alpha z + sigma noise`, z and noise (N, C, H, W), with a timestep for each sample, (N,) int64."""
        alpha, sigma = (
            scale[timesteps].float().view(-1, *[1] * (z.ndim - 1)) for scale in (self._alpha, self._sigma)
        )
        return alpha * z + sigma * noise


class PlaidSchedule(nn.Module):
    """The text model's learned schedule: alpha^2 = sigmoid(-gamma(t)), gamma rising from gamma_0 to gamma_1.

    gamma(t) = gamma_0 + (gamma_1 - gamma_0) s(t); s is a monotone network scaled to run from 0 to 1, in
    float64. The integer clock runs at t = timestep / 1000.

    Source
    ------
    Diff-Feat, section 3.1; Plaid's noise_schedule.pt (W1, b1, W2) and gamma_bounds.pt.
    """

    steps = STEPS

    def __init__(self, width: int = 1024, gamma_0: float = -3.0, gamma_1: float = 6.0) -> None:
        super().__init__()
        self.W1 = nn.Parameter(torch.randn(width, 1))
        self.b1 = nn.Parameter(torch.randn(width))
        self.W2 = nn.Parameter(torch.randn(1, width))
        self.gamma_0 = nn.Parameter(torch.tensor(float(gamma_0)))
        self.gamma_1 = nn.Parameter(torch.tensor(float(gamma_1)))

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        """gamma of continuous times t (N,) in [0, 1], float64 of shape (N,)."""
        rise, _ = self.rise(t)
        return self.gamma_0.double() + (self.gamma_1 - self.gamma_0).double() * rise

    def rise(self, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """s(t), from 0 at t = 0 to 1 at t = 1, and its derivative; each float64 of shape (N,)."""
        t = t.to(self.W1.device, torch.float64)
        rate = functional.softplus(self.W1.double())[:, 0]
        height = 0.01 * functional.softplus(self.W2.double())[0]
        times = torch.cat([t.new_tensor([0.0, 1.0]), t]) - 0.5
        hidden = torch.tanh(
            times[:, None] * rate + self.b1.double()
        )  # (2 + N, width), each column rises with t
        start, end, value = (hidden @ height).split([1, 1, len(t)])
        slope = (1 - hidden[2:].square()) @ (height * rate)
        return (value - start) / (end - start), slope / (end - start)

    @torch.no_grad()
    def alpha_sigma(self, timestep: int) -> tuple[float, float]:
        """Signal and noise scale, two floats, of an integer timestep in [0, 1000)."""
        gamma = self(torch.tensor([check_timestep(timestep) / STEPS], dtype=torch.float64))
        return float(torch.sigmoid(-gamma).sqrt()), float(torch.sigmoid(gamma).sqrt())


def noised(
    z: torch.Tensor,
    timestep: int,
    noising: str,
    schedule: DDPM | PlaidSchedule,
    noise: torch.Tensor | None = None,
    denoiser: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    steps: int = INVERSION_STEPS,
) -> torch.Tensor:
    """Noise clean latents to a timestep, in one of three ways.

    Parameters
    ----------
    z : Tensor of shape (N, ...), clean latents
    timestep : int in [0, 1000)
    noising : str
        "random" is alpha z + sigma noise; "mean" is its expectation, alpha z; "ddim" inverts the sampler: it
        starts at timestep 0 without noise (alpha_0 z) and follows the model's own predictions up to
        `timestep`, so at timestep 0 it is "mean".
    schedule : DDPM or PlaidSchedule
    noise : Tensor of z's shape, unit normal; for "random"
    denoiser : callable (z, timestep) -> estimate of the clean latent; for "ddim" (a backbone's `predict`)
    steps : int, at least 1; model calls of "ddim", evenly spaced over [0, timestep]

    Returns
    -------
    Tensor of z's shape

    Raises
    ------
    ValueError
        If the noising is unknown, the timestep out of range, or what the noising needs is missing.

    Source
    ------
    Diff-Feat, forward process and its deterministic variant; Song et al. 2021 (DDIM), equation 13, run from
    data to noise.
    """
    if noising not in NOISINGS:
        raise ValueError(f"unknown noising {noising!r}: choose one of {', '.join(NOISINGS)}")
    for name, needed, given in (("noise", "random", noise), ("denoiser", "ddim", denoiser)):
        if noising == needed and given is None:
            raise ValueError(f"noising {noising!r} needs `{name}`, and none was given")
    alpha, sigma = schedule.alpha_sigma(timestep)
    if noising == "random":
        return alpha * z + sigma * noise
    if noising == "mean":
        return alpha * z
    return _invert(z, timestep, schedule, denoiser, steps)


def _invert(z, timestep, schedule, denoiser, steps):
    """Deterministic DDIM from timestep 0 up to `timestep`: keep the predicted noise, change its scale."""
    clock = np.unique(np.linspace(0, timestep, steps + 1).round().astype(int)).tolist()
    alpha, sigma = schedule.alpha_sigma(0)
    z = alpha * z
    for now, later in zip(clock[:-1], clock[1:], strict=True):
        clean = denoiser(z, now)
        direction = (z - alpha * clean) / sigma
        alpha, sigma = schedule.alpha_sigma(later)
        z = alpha * clean + sigma * direction
    return z
