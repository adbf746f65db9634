"""Linear probes: one linear layer on frozen features, a whole (block, timestep) grid trained together.

P grid points, N samples, D width, K labels; features (P, N, D), labels (N, K), probabilities (P, N, K).

Every probe of a grid starts from the same weights and sees the same batches, and Adam works on each weight
alone, so P probes are one batched matrix product per step and come out as they would one after another. On a
processor they are trained in groups that fit its cache, one group on each thread.

A probe's length counts in steps: after the 40 epochs of the paper, 25,880 steps on its 82,783 images, a probe
has converged; after 40 epochs of 2,000 images, 640 steps, it is far from that.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike

from difffeat.base.progress import bar
from difffeat.base.threads import on_threads
from difffeat.probing.descent import descend, first_linear, packed
from difffeat.probing.metrics import check_labels, check_one_class

# An array is taken so many bytes of features at a time: a copy of that size is standardised, and memory stays
# bounded. Where N x D is so large that few probes fit, one alone keeps the processor busy.
WORKING_SET = 2**28
CACHE = 2**22  # bytes that one step of a group may touch: what a core has near it
STEPS = 25_880  # 40 epochs of ceil(82,783 / 128) batches

LINKS = {"bce": torch.sigmoid, "ce": lambda logits: torch.softmax(logits, dim=-2)}  # logits (P, K, N)
LINKS_ = {"bce": torch.sigmoid_, "ce": lambda logits: torch.softmax(logits, dim=-2, out=logits)}  # in place


@dataclass(frozen=True)
class Probes:
    """P trained linear probes, with the scaling of their inputs.

    Attributes
    ----------
    weight : Tensor (P, K, D); bias : Tensor (P, K, 1)
    mean, std : Tensors (P, 1, D); features are standardised by them (0 and 1 where scale is "none")
    loss : "bce" (independent labels) or "ce" (one class per sample)
    """

    weight: torch.Tensor
    bias: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    loss: str

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, points: slice | Sequence[int]) -> "Probes":
        """The probes at a list or slice of grid points; the axis P stays."""
        return Probes(self.weight[points], self.bias[points], self.mean[points], self.std[points], self.loss)

    @torch.inference_mode()
    def scores(self, features: np.ndarray | torch.Tensor | Iterable) -> np.ndarray:
        """Probability of every label.

        Parameters
        ----------
        features : array of shape (P, M, D), or an iterable of (P_chunk, M, D)

        Returns
        -------
        ndarray of float32, shape (P, M, K)

        Raises
        ------
        ValueError
            If there are not P points, D differs from training, or a value is not finite.
        """
        width = self.weight.shape[-1]
        expected = f"features must be ({len(self)}, M, {width}), as these probes were trained"
        found, first = [], 0
        for x in chunks(features):
            part = self[first : first + len(x)]
            if len(part) < len(x) or x.shape[-1] != width:
                raise ValueError(f"{expected}; got a chunk of shape {tuple(x.shape)} after {first} points")
            weight, bias, mean, std = (p.to(x.device) for p in (part.weight, part.bias, part.mean, part.std))
            x.sub_(mean).div_(std)
            found.append(LINKS[self.loss](torch.baddbmm(bias, weight, x.mT)).mT.cpu().numpy())
            first += len(x)
        if first < len(self):
            raise ValueError(f"{expected}; got {first} points")
        return np.concatenate(found)


def fit_grid(
    features: np.ndarray | torch.Tensor | Iterable,
    labels: ArrayLike,
    *,
    loss: str = "bce",
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 128,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    scale: str = "standard",
    seed: int = 0,
    progress: bool = False,
) -> Probes:
    """Train one linear probe per grid point, together.

    Parameters
    ----------
    features : array or Tensor of shape (P, N, D), or an iterable of (P_chunk, N, D)
        An array is taken a working set at a time; chunks of an iterable are trained whole, one after another,
        so a grid larger than memory may come from a generator. A Tensor is trained on the device it lies on.
    labels : array of shape (N, K), 0 or 1; for "ce" a single 1 in each row, or an int array of shape (N,),
        classes from 0
    loss : "bce" (binary cross-entropy, many labels) or "ce" (cross-entropy, one class)
    steps : int, of the optimiser; by default the paper's 25,880
    epochs : int, says the same in passes over the N samples; give one of the two
    batch_size, lr
        The paper's 128 and 1e-3.
    weight_decay : float, of Adam: added to the gradient as this times the weight; the paper states none
    scale : "standard" (mean 0, standard deviation 1 over the N samples) or "none"
        The paper does not state this; see deviations.md.
    seed : int, of the first weights (as `torch.nn.Linear` draws them) and of the order of samples
    progress : bool, show a bar of probes per chunk

    Returns
    -------
    Probes

    Raises
    ------
    ValueError
        If features are empty, not finite or of another N than labels, labels are not 0 or 1, classes are not
        integers from 0, both steps and epochs are given, or loss or scale is unknown.

    Source
    ------
    Diff-Feat, section 4 "Linear classifier setting"; cosine annealing is by step, down to 0.
    """
    target = one_hot(labels, loss)  # (K, N)
    length = steps_of(steps, epochs, target.shape[1], batch_size)
    how = dict(steps=length, batch_size=batch_size, lr=lr, weight_decay=weight_decay)
    trained = []
    for chunk in chunks(features):
        if chunk.shape[1] != target.shape[1]:
            raise ValueError(f"features have {chunk.shape[1]} samples, labels have {target.shape[1]}")
        if trained and chunk.shape[2] != trained[0].weight.shape[2]:
            widths = f"{trained[0].weight.shape[2]} and {chunk.shape[2]}"
            raise ValueError(f"the points of one grid must share a width, got {widths}; train two grids")
        mean, std = standardise(chunk, scale)
        weight, bias = _fit_chunk(chunk, target.to(chunk.device), loss, seed, progress, how)
        trained.append(Probes(weight, bias, mean.cpu(), std.cpu(), loss))
    if not trained:
        raise ValueError("features hold no grid point: expected (P, N, D) or an iterable of (P_chunk, N, D)")
    parts = zip(*((part.weight, part.bias, part.mean, part.std) for part in trained), strict=True)
    return Probes(*map(torch.cat, parts), loss)


def steps_of(steps: int | None, epochs: int | None, n: int, batch_size: int) -> int:
    """Optimisation steps of a training on n samples, said in steps or in epochs; by default the paper's."""
    if steps is not None and epochs is not None:
        raise ValueError(f"give the length in steps or in epochs, not both; got {steps} and {epochs}")
    length = STEPS if steps is None and epochs is None else steps
    if length is None and batch_size > 0:
        length = epochs * math.ceil(n / batch_size)
    if batch_size < 1 or length < 1:
        raise ValueError(
            f"steps, epochs and batch_size must be positive, got {steps}, {epochs} and {batch_size}"
        )
    return length


def _fit_chunk(features, target, loss, seed, progress, how):
    """Weights (P, K, D) and biases (P, K, 1) for standardised features (P, N, D) and targets (K, N)."""
    groups = features.split(_group(features, len(target), how["batch_size"]))
    with bar(len(features) * how["steps"], "probes", "step", progress) as shown:

        def fit(group):
            return _fit_group(group, target, loss, seed, shown, how)

        return map(torch.cat, zip(*on_threads(fit, groups, features.device), strict=True))


def _group(features, labels, batch_size):
    """How many probes are trained in one go: all on a GPU, else as many as stay near a core."""
    points, _, width = features.shape
    if features.is_cuda:
        return points
    touched = 4 * (batch_size * (width + labels) + 4 * width * labels)  # a batch, weights, gradient, moments
    fair = math.ceil(points / torch.get_num_threads())
    return max(1, min(CACHE // touched, fair))


def _fit_group(features, target, loss, seed, shown, how):
    """Weights and biases of probes trained in one go; the gradient by hand, in the same memory each step."""
    by_sample = features.transpose(0, 1).contiguous()  # (N, P, D): a batch is a gather of long rows
    generator = torch.Generator().manual_seed(seed)
    first = first_linear(features.shape[2], len(target), generator)
    flat, (weight, bias) = packed([values.repeat(len(features), 1, 1) for values in first], features.device)
    buffers = {}

    def backward(rows):
        if len(rows) not in buffers:
            buffers[len(rows)] = (by_sample[: len(rows)].clone(), bias.new_empty(*bias.shape[:2], len(rows)))
        x, residual = buffers[len(rows)]
        x = torch.index_select(by_sample, 0, rows, out=x).transpose(0, 1)  # (P, B, D)
        torch.baddbmm(bias, weight, x.mT, out=residual)  # (P, K, B)
        LINKS_[loss](residual).sub_(target.index_select(1, rows))
        residual.div_(len(rows) * (len(target) if loss == "bce" else 1))
        torch.bmm(residual, x, out=weight.grad)
        torch.sum(residual, dim=-1, keepdim=True, out=bias.grad)

    descend(
        flat,
        backward,
        n=features.shape[1],
        generator=generator,
        shown=lambda steps: shown.update(steps * len(features)),
        **how,
    )
    return weight.cpu(), bias.cpu()


def chunks(features: np.ndarray | torch.Tensor | Iterable, name: str = "features") -> Iterator[torch.Tensor]:
    """Our own float32 copies of features, as checked Tensors (P_chunk, N, D)."""
    parts = features
    if hasattr(features, "shape"):
        if len(features.shape) != 3:
            raise ValueError(f"{name} must be (P, N, D), got shape {tuple(features.shape)}")
        together = max(1, WORKING_SET // max(1, 4 * math.prod(features.shape[1:])))
        parts = (features[first : first + together] for first in range(0, len(features), together))
    first = 0
    for part in parts:
        chunk = _own_float32(part)
        if chunk.ndim != 3 or chunk.numel() == 0:
            raise ValueError(
                f"{name} must be non-empty (P, N, D), in chunks along P, got {tuple(chunk.shape)}"
            )
        # One sum tells whether there is anything to look for, and costs no mask.
        broken = [] if chunk.sum().isfinite() else (~chunk.isfinite()).nonzero()
        if len(broken):
            point, sample, _ = broken[0].tolist()
            raise ValueError(
                f"{name} hold NaN or infinite values, the first at grid point {first + point}, sample "
                f"{sample}; extract them again, in float32 if float16 overflowed"
            )
        yield chunk
        first += len(chunk)


def _own_float32(features):
    """A float32 copy as a Tensor, which may be changed in place."""
    if isinstance(features, torch.Tensor):
        return features.detach().to(torch.float32, copy=True)
    return torch.from_numpy(np.array(features, dtype=np.float32))


def standardise(features: torch.Tensor, scale: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale features (P, N, D) in place; the mean and standard deviation used, Tensors (P, 1, D)."""
    if scale not in ("standard", "none"):
        raise ValueError(f'scale must be "standard" or "none", got {scale!r}')
    if scale == "none":
        zero = torch.zeros_like(features[:, :1])
        return zero, zero + 1
    mean = features.mean(dim=1, keepdim=True)
    features.sub_(mean)
    std = torch.linalg.vector_norm(features, dim=1, keepdim=True) / features.shape[1] ** 0.5
    std[std <= 1e-6 * mean.abs()] = 1  # constant but for float32 rounding: it stays near 0
    features.div_(std)
    return mean, std


def one_hot(labels: ArrayLike, loss: str) -> torch.Tensor:
    """Targets (K, N) in float32 of labels (N, K), or of classes (N,) for "ce"."""
    if loss not in ("bce", "ce"):
        raise ValueError(f'loss must be "bce" or "ce", got {loss!r}')
    classes = np.asarray(labels)
    if loss == "bce" or classes.ndim == 2:
        labels = check_labels(labels)
        if loss == "ce":
            check_one_class(labels)
        return torch.from_numpy(np.ascontiguousarray(labels.T, np.float32))  # else each batch copies it whole
    if classes.ndim != 1 or classes.size == 0 or classes.dtype.kind not in "iu" or classes.min() < 0:
        raise ValueError(
            f'for loss "ce" give one class per sample, integers from 0 of shape (N,), or labels (N, K); got '
            f"{classes.dtype} of shape {classes.shape}"
        )
    return torch.from_numpy(np.eye(classes.max() + 1, dtype=np.float32)[:, classes])
