"""Many small linear layers trained in one go: first weights, one flat vector of all, and Adam on it."""

import math
from collections.abc import Callable, Sequence

import torch


def packed(tensors: Sequence[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Copies of tensors as views of one flat Tensor, so that the optimiser's step is one pass over it.

    Returns
    -------
    flat : Tensor with a gradient
    views : list of Tensors of the given shapes, each with its part of that gradient
    """
    sizes = [values.numel() for values in tensors]
    flat = torch.cat([values.flatten() for values in tensors]).to(device)
    flat.grad = torch.zeros_like(flat)
    views = [part.view_as(values) for part, values in zip(flat.split(sizes), tensors, strict=True)]
    for view, part in zip(views, flat.grad.split(sizes), strict=True):
        view.grad = part.view_as(view)
    return flat, views


def descend(
    flat: torch.Tensor,
    backward: Callable[[torch.Tensor], None],
    *,
    n: int,
    generator: torch.Generator,
    steps: int,
    batch_size: int,
    lr: float,
    weight_decay: float = 0.0,
    shown: Callable[[int], object] | None = None,
) -> None:
    """Adam with the learning rate on a half cosine from lr to 0 over all steps; the last short batch is kept.

    Parameters
    ----------
    flat : Tensor of all parameters, changed in place, with its gradient; see `packed`
    backward : callable taking the rows of a batch, an int Tensor (B,); fills the gradient
    n : int, samples
    generator : torch.Generator on the CPU, orders the samples anew in each epoch
    steps, batch_size, lr, weight_decay
        As in `fit_grid`.
    shown : callable taking how many steps were done since the last call, optional
    """
    if lr <= 0 or weight_decay < 0:
        raise ValueError(f"lr must be positive and weight_decay not negative, got {lr} and {weight_decay}")
    adam, step = _adam(flat, weight_decay), 0
    while step < steps:
        batches = torch.randperm(n, generator=generator).to(flat.device).split(batch_size)[: steps - step]
        for rows in batches:
            backward(rows)
            adam(lr * (1 + math.cos(math.pi * step / steps)) / 2)
            step += 1
        if shown is not None:
            shown(len(batches))


def _adam(flat, weight_decay, beta=0.9, beta2=0.999, eps=1e-8):
    """One step of Adam on a flat Tensor, a callable of the learning rate.

    As torch.optim.Adam, whose step takes longer than the gradient of a small probe. The bias corrections of
    both moments are folded into the learning rate and eps.
    """
    gradient, mean, square = flat.grad, torch.zeros_like(flat), torch.zeros_like(flat)
    spread, taken = torch.empty_like(flat), 0

    def step(lr):
        nonlocal taken
        taken += 1
        if weight_decay:
            gradient.add_(flat, alpha=weight_decay)
        mean.lerp_(gradient, 1 - beta)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        corrected = (1 - beta2**taken) ** 0.5
        torch.sqrt(square, out=spread).add_(eps * corrected)
        flat.addcdiv_(mean, spread, value=-lr * corrected / (1 - beta**taken))

    return step


def first_linear(inputs: int, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight (outputs, inputs) and bias (outputs, 1), drawn as `torch.nn.Linear` draws them."""
    bound = inputs**-0.5
    return (
        torch.empty(outputs, inputs).uniform_(-bound, bound, generator=generator),
        torch.empty(outputs, 1).uniform_(-bound, bound, generator=generator),
    )
