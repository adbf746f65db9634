"""The variational loss of a Plaid, and its gradients.

N texts, T tokens, V vocabulary, E size of a token's embedding. Losses are in nats per token.
"""

from typing import NamedTuple

import torch
from torch.nn import functional

from difffeat.backbones.plaid import Plaid

# At 1 the embeddings of nouns collapse onto each other: fluent texts, useless features.
RECONSTRUCTION_WEIGHT = 5.0
AT_ZERO = 8  # one text in this many is read at t = 0, for the reconstruction term
SELF_CONDITIONED = 4  # one text in this many is read with the model's own first estimate
PAD_WEIGHT = 0.1  # of the end tokens after the first: all alike, and often more than the words


class Terms(NamedTuple):
    """The three terms of the variational bound, in nats per token, averaged over texts."""

    reconstruction: torch.Tensor
    prior: torch.Tensor
    diffusion: torch.Tensor


def token_weights(mask: torch.Tensor) -> torch.Tensor:
    """Weight of each token (N, T) in the loss, rows adding up to 1: pads count less than words."""
    first_end = functional.pad(mask, (1, 0), value=True)[:, :-1] & ~mask
    weights = torch.where(mask | first_end, 1.0, PAD_WEIGHT)
    return weights / weights.sum(dim=1, keepdim=True)


def read(
    model: Plaid, z: torch.Tensor, gamma: torch.Tensor, self_conditioned: slice | torch.Tensor
) -> torch.Tensor:
    """Logits (N, T, V); the rows in `self_conditioned` see the model's own first estimate."""
    previous = torch.zeros_like(z)
    with torch.no_grad():
        first = model(z[self_conditioned], gamma[self_conditioned], previous[self_conditioned])
        previous[self_conditioned] = model.estimate(first)
    return model(z, gamma, previous)


def loss_terms(
    model: Plaid,
    ids: torch.Tensor,
    weights: torch.Tensor,
    times: slice,
    gamma: torch.Tensor,
    slope: torch.Tensor,
    noise: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Terms of the variational bound for each text.

    Parameters
    ----------
    model : Plaid
    ids : Tensor of shape (N, T), tokens
    weights : Tensor of shape (N, T), of tokens in the loss, rows add up to 1
    times : slice of the rows that are read at their own time; the rows before it are at t = 0
    gamma, slope : float64 Tensors of shape (N,), gamma and its derivative at each row's time
    noise : Tensor of shape (N, T, E), unit normal

    Returns
    -------
    reconstruction : Tensor of shape (N0,), cross-entropy of the rows at t = 0
    diffusion : Tensor of shape (N - N0,), 0.5 exp(-gamma) gamma' |x - x_hat|^2 of the other rows
    """
    clean = model.embeddings[ids]  # (N, T, E)
    scale = gamma[:, None, None]
    z = (torch.sigmoid(-scale).sqrt() * clean + torch.sigmoid(scale).sqrt() * noise).float()
    logits = read(model, z, gamma, slice(None, None, SELF_CONDITIONED))
    zero = slice(0, times.start)
    entropy = functional.cross_entropy(logits[zero].flatten(0, 1), ids[zero].flatten(), reduction="none")
    error = (clean[times] - model.estimate(logits[times])).square().sum(dim=2)  # (N - N0, T)
    rate = 0.5 * (-gamma[times]).exp() * slope[times]
    return (entropy.view_as(ids[zero]) * weights[zero]).sum(1), (error * weights[times]).sum(1) * rate


def prior_term(gamma_1: torch.Tensor, size: int) -> torch.Tensor:
    """KL of a noised embedding at t = 1 from a unit normal, in nats per token."""
    variance = torch.sigmoid(gamma_1)
    return 0.5 * (size * (variance - 1 - variance.log()) + torch.sigmoid(-gamma_1))


def training_step(model: Plaid, ids: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> Terms:
    """Gradients of the loss on one batch, times spread evenly over [0, 1]. Returns its `Terms`.

    The bound does not depend on how gamma rises between its two ends; only its variance does. So the ends
    follow the bound's gradient, and the rise follows the gradient of the variance of the loss over t, which
    is that of the loss with each row weighted by twice its excess over the mean.
    """
    schedule, zeros = model.schedule, len(ids) // AT_ZERO
    later = len(ids) - zeros
    # Drawn on the processor: the same on any device.
    t = (torch.arange(later) + torch.rand(later, generator=generator)) / later
    noise = torch.randn(*ids.shape, model.matrix.shape[1], generator=generator).to(ids.device)
    rise, slope = schedule.rise(torch.cat([torch.zeros(zeros), t]).to(ids.device))
    low, high = schedule.gamma_0.double(), schedule.gamma_1.double()
    gamma = (low + (high - low) * rise).detach().requires_grad_()
    speed = ((high - low) * slope).detach().requires_grad_()

    times = slice(zeros, None)
    reconstruction, diffusion = loss_terms(model, ids, token_weights(mask), times, gamma, speed, noise)
    terms = Terms(reconstruction.mean(), prior_term(high, noise.shape[2]), diffusion.mean())
    (RECONSTRUCTION_WEIGHT * terms.reconstruction + terms.prior + terms.diffusion).backward()

    excess = 2 * (diffusion.detach() / terms.diffusion.detach() - 1)
    for_rise = torch.cat([excess.new_zeros(zeros), excess])
    for_ends = torch.cat([excess.new_full((zeros,), 1 / RECONSTRUCTION_WEIGHT), torch.ones_like(excess)])
    torch.autograd.backward(
        [low + (high - low) * rise.detach(), (high - low) * slope.detach()],
        [gamma.grad * for_ends, speed.grad * for_ends],
    )
    span = (high - low).detach()
    torch.autograd.backward([span * rise, span * slope], [gamma.grad * for_rise, speed.grad * for_rise])
    return Terms(*(term.detach() for term in terms))
