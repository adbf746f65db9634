"""Small classifiers of single pixels: two hidden layers on upsampled tokens, several of which vote.

Letters: n pixels, T tokens, D width, K classes, M members, B pixels of a batch. All members are trained
together, each on its own batches. The first layer is linear, so it is run on tokens and what it gives is
upsampled: a wide activation costs no more on pixels than a narrow one.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from difffeat.probing import pixels
from difffeat.probing.descent import first_linear

HIDDEN = (128, 32)  # widths of the hidden layers
BATCH = 64  # pixels of a step, for each member
LEARNING_RATE = 5e-3


class Layer(NamedTuple):
    """A linear layer of each member: weight (M, inputs, outputs), bias (M, 1, outputs)."""

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs (M, n, outputs) of inputs (M, n, inputs)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def after(self, mean: torch.Tensor, std: torch.Tensor) -> "Layer":
        """The layer that gives for x what this one gives for (x - mean) / std, both (M or 1, 1, inputs)."""
        weight = self.weight / std.mT
        return Layer(weight, self.bias - mean @ weight)


def fit(
    features: np.ndarray, classes: np.ndarray, count: int, *, steps: int, members: int = 1, seed: int = 0
) -> Callable[[torch.Tensor, int, int], torch.Tensor]:
    """Train M heads on pixels, each from other first weights and on other batches.

    Parameters
    ----------
    features : float array of shape (n, D)
    classes : int array of shape (n,)
    count : int, K
    steps : int, of Adam, its learning rate on a half cosine to 0
    members : int, M
    seed : int

    Returns
    -------
    callable of tokens (N, T, D), pixels of a side S, and `every`: classes (N, S', S') by the mean probability

    Source
    ------
    Baranchuk et al. 2022, "Label-efficient semantic segmentation with diffusion models", section 4: for fewer
    than 30 classes, layers of these widths with ReLU, each normalised over the batch; ten of them vote.
    """
    data = torch.from_numpy(np.asarray(features, np.float32))
    mean, std = data.mean(dim=0), data.std(dim=0).clamp(min=1e-6)
    data = (data - mean) / std
    generator = torch.Generator().manual_seed(seed)
    layers = _first(data.shape[1], count, members, generator)
    _train(layers, data, torch.from_numpy(classes), steps, generator)
    first, *rest = _folded(layers, data)
    first = first.after(mean[None, None], std[None, None])

    @torch.inference_mode()
    def classify(tokens, side, every):
        chance = 0
        for member in range(members):
            before = tokens @ first.weight[member] + first.bias[member]  # (N, T, H)
            x = pixels.upsampled(before, side, every).movedim(1, -1)  # (N, S', S', H)
            for layer in rest:
                x = x.relu() @ layer.weight[member] + layer.bias[member, 0]
            chance = chance + functional.softmax(x, dim=-1)
        return chance.argmax(dim=-1)

    return classify


def _first(width, count, members, generator):
    """Untrained layers of all members."""
    sizes, layers = (width, *HIDDEN, count), []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        drawn = [first_linear(inputs, outputs, generator) for _ in range(members)]
        weight, bias = (torch.stack([one[part].T for one in drawn]) for part in (0, 1))
        layers.append(Layer(weight.contiguous().requires_grad_(), bias.contiguous().requires_grad_()))
    return layers


def _train(layers, data, target, steps, generator):
    optimizer = torch.optim.Adam([held for layer in layers for held in layer], lr=LEARNING_RATE, fused=True)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    shape = len(layers[0].weight), min(BATCH, len(data))
    for _ in range(steps):
        rows = torch.randint(len(data), shape, generator=generator)  # (M, B)
        x = layers[0](data[rows])
        for layer in layers[1:]:
            x = layer(_normalised(x.relu())[0])
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(x.flatten(0, 1), target[rows].flatten()).backward()
        optimizer.step()
        falling.step()


def _normalised(x):
    """Values (M, n, H) with mean 0 and variance 1 over n, and the mean and deviation that they had."""
    mean = x.mean(dim=1, keepdim=True)
    centred = x - mean
    std = (centred.square().mean(dim=1, keepdim=True) + 1e-5).sqrt()
    return centred / std, mean, std


@torch.inference_mode()
def _folded(layers, data):
    """The trained layers with the normalisation in them, by the statistics of all training pixels."""
    found = [Layer(layers[0].weight.detach(), layers[0].bias.detach())]
    x = found[0](data.expand(len(layers[0].weight), *data.shape))
    for layer in layers[1:]:
        x, mean, std = _normalised(x.relu())
        x, last = layer(x), Layer(layer.weight.detach(), layer.bias.detach())
        found.append(last.after(mean, std))
    return found
