"""The optimizers of the training commands; a step takes a learning rate."""

import math

import torch
from torch import nn


class AdamW:
    """AdamW, each of whose groups of parameters has a rate of its own: a step's times its `peak`, or 1."""

    def __init__(self, groups: list[dict]) -> None:
        self.inner = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01)

    def step(self, rate: float) -> None:
        """One update at a learning rate; gradients are cleared."""
        for group in self.inner.param_groups:
            group["lr"] = rate * group.get("peak", 1.0)
        self.inner.step()
        self.inner.zero_grad()

    def state_dict(self) -> dict:
        """What a checkpoint keeps."""
        return self.inner.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Go on from what a checkpoint kept; ValueError if it was another optimizer's."""
        if not isinstance(state, dict):
            raise ValueError("the checkpoint is of another optimizer: delete it, or name another --run")
        self.inner.load_state_dict(state)


class Muon:
    """Muon (Jordan et al. 2024) for the weight matrices of a model's blocks, AdamW for all else.

    Muon makes the update of a matrix nearly orthogonal, so that no direction of it is left behind. Scaled to
    AdamW's usual step, both take one learning rate. `torch.optim.Muon` is the same but for its products,
    which are in bfloat16: a processor without units for that takes a hundred times as long for them. Matrices
    of one shape are updated together.

    Parameters
    ----------
    blocks : Module, whose two-dimensional parameters are Muon's
    others : list of dict, AdamW's groups of the other parameters
    peak : float, by which a step's rate is multiplied
    """

    MOMENTUM, DECAY = 0.95, 0.01

    def __init__(self, blocks: nn.Module, others: list[dict], peak: float = 1.0) -> None:
        self.peak = peak
        matrices = [parameter for parameter in blocks.parameters() if parameter.ndim == 2]
        shapes = dict.fromkeys(parameter.shape for parameter in matrices)
        self.groups = [[one for one in matrices if one.shape == shape] for shape in shapes]
        self.momentum = [torch.zeros_like(torch.stack(list(group))) for group in self.groups]
        self.adamw = AdamW(others)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update at a learning rate; gradients are cleared."""
        for group, momentum in zip(self.groups, self.momentum, strict=True):
            gradient = torch.stack([parameter.grad for parameter in group])  # (n, rows, columns)
            momentum.lerp_(gradient, 1 - self.MOMENTUM)
            update = orthogonal(gradient.lerp(momentum, self.MOMENTUM))
            size = 0.2 * math.sqrt(max(gradient.shape[1:]))  # the root mean square of AdamW's steps
            torch._foreach_mul_(group, 1 - rate * self.peak * self.DECAY)
            torch._foreach_add_(group, list(update), alpha=-rate * self.peak * size)
            for parameter in group:
                parameter.grad = None
        self.adamw.step(rate)

    def state_dict(self) -> list:
        """What a checkpoint keeps."""
        return [self.momentum, self.adamw.state_dict()]

    def load_state_dict(self, states: list) -> None:
        """Go on from what a checkpoint kept; ValueError if it was another optimizer's."""
        if not isinstance(states, list) or not isinstance(states[0], list):
            raise ValueError("the checkpoint is of another optimizer: delete it, or name another --run")
        self.momentum = states[0]
        self.adamw.load_state_dict(states[1])


def orthogonal(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Matrices (n, rows, columns) with singular values brought near 1, by Newton and Schulz's iteration.

    Its coefficients are those of Jordan et al. 2024: values end between 0.7 and 1.2, which is near enough.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return x.mT if tall else x


def outside(model: nn.Module, blocks: nn.Module) -> list[nn.Parameter]:
    """Parameters of a model that `Muon` leaves to AdamW: all but the matrices of its blocks."""
    taken = {id(parameter) for parameter in blocks.parameters() if parameter.ndim == 2}
    return [parameter for parameter in model.parameters() if id(parameter) not in taken]
