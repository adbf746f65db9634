"""Four ways to join an image and a text feature before one linear classifier, and many pairs at once.

P pairs, N samples, Di and Dt widths of image and text, A the alignment width (d_align), K labels; image
features (N, Di), text features (N, Dt), labels (N, K), probabilities (N, K).

What the formulas imply, before any training:

- Linear concatenation and linear addition add no function to a linear classifier C of concatenated features:
  C (W_img h_img + W_txt h_txt) = (C W_img) h_img + (C W_txt) h_txt is linear in both, and for A >= K every
  such classifier has this form. Where results differ, the l2 norm of "concat" or the optimisation is why.
- Cross attention of one image token to one text token is a softmax over a single key, which is 1 whatever the
  image: the head equals W_V h_txt. It ignores the image, and W_Q and W_K receive no gradient.
- Read as it is printed, with column vectors h, (W_Q h_img)(W_K h_txt)^T is an A x A matrix: attention among
  the channels of the text. That reading does use the image; it is the fifth head, "channel_attention".
- So three heads are products of matrices, logits = sum_m h_m (W_m C_m) + bias, and are trained as such: the
  product W_m C_m is D x K, and small beside the N x A numbers of a projected batch.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from difffeat.base.progress import bar
from difffeat.base.threads import on_threads
from difffeat.probing.descent import descend, packed
from difffeat.probing.heads import HEADS, PRODUCTS, first_weights, logits_of
from difffeat.probing.probe import CACHE, LINKS, LINKS_, WORKING_SET, chunks, one_hot, standardise, steps_of
from difffeat.probing.shared import Shared

BATCH = 128  # samples scored at a time, and the paper's training batch


@dataclass(frozen=True)
class Fused:
    """One trained fusion head with its classifier.

    Attributes
    ----------
    head : name in HEADS
    weights : dict of Tensors; the projections (Di or Dt, A), "classifier" (J, K) and "bias" (1, K)
    scaling : dict of modality -> (mean, std), Tensors (1, Di) or (1, Dt)
    loss : "bce" or "ce"
    losses : ndarray (epochs,), mean training loss of each epoch, the last of which may be cut short
    """

    head: str
    weights: dict
    scaling: dict
    loss: str
    losses: np.ndarray

    @torch.inference_mode()
    def scores(self, image: np.ndarray, text: np.ndarray) -> np.ndarray:
        """Probability of every label.

        Parameters
        ----------
        image : array of shape (M, Di)
        text : array of shape (M, Dt)

        Returns
        -------
        ndarray of float32, shape (M, K)

        Raises
        ------
        ValueError
            If the two disagree in M, a width differs from training, or a value is not finite.
        """
        inputs = []
        for name, features in (("image", image), ("text", text)):
            (x,) = chunks([features[None]], f"{name} features")  # (1, M, D)
            mean, std = (values.to(x.device) for values in self.scaling[name])
            if x.shape[2] != mean.shape[1]:
                raise ValueError(f"{name} features are {x.shape[2]} wide, in training {mean.shape[1]}")
            inputs.append(x.sub_(mean).div_(std).split(BATCH, dim=1))
        _same_samples("image", len(image), "text", len(text))
        weights = {name: weight[None].to(x.device) for name, weight in self.weights.items()}
        logits = [logits_of(self.head, weights, *batch) for batch in zip(*inputs, strict=True)]
        return LINKS[self.loss](torch.cat(logits, dim=1).mT)[0].T.cpu().numpy()


def fit(head: str, image: np.ndarray, text: np.ndarray, labels: ArrayLike, **protocol: object) -> Fused:
    """Train one fusion head on one image and one text feature.

    Parameters
    ----------
    head : "concat", "linear_concat", "addition", "cross_attention" or "channel_attention"
    image : array of shape (N, Di)
    text : array of shape (N, Dt)
    labels, **protocol
        As in `fit_pairs`.

    Returns
    -------
    Fused

    Source
    ------
    Diff-Feat, section 3.3.
    """
    return fit_pairs(head, image[None], text[None], labels, **protocol)[0]


def fit_pairs(
    head: str,
    images: np.ndarray,
    texts: np.ndarray,
    labels: ArrayLike,
    *,
    pairs: Iterable[tuple[int, int]] | None = None,
    d_align: int = 512,
    loss: str = "bce",
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = BATCH,
    lr: float = 1e-3,
    weight_decay: float = 0.0,
    scale: str = "standard",
    seed: int = 0,
    progress: bool = False,
) -> list[Fused]:
    """Train a fusion head for each of many (image point, text point) pairs, together.

    Every pair starts from the same weights and sees the same batches, as probes of a grid do.

    Parameters
    ----------
    head : "concat", "linear_concat", "addition", "cross_attention" or "channel_attention"
        The last holds batch_size * d_align ** 2 numbers per pair: on a CPU give it a small d_align.
    images : array of shape (Pi, N, Di)
    texts : array of shape (Pt, N, Dt)
    pairs : list of (image point, text point), optional; all Pi * Pt of them without it
    d_align : int, width A of the projections; the paper's d_alg = d_k = 512
    labels, loss, steps, epochs, batch_size, lr, weight_decay, scale, seed, progress
        As in `probe.fit_grid`; "concat" takes l2 norms after the scaling.

    Returns
    -------
    list of Fused, one per pair, in the order of pairs

    Raises
    ------
    ValueError
        If the head is unknown, d_align is not positive, there is no pair or one is out of range, or an input
        is not as `probe.fit_grid` asks.

    Source
    ------
    Diff-Feat, section 3.3; widths and the l2 norm from section 4.3. Projections have no bias, as printed; the
    classifier has one.
    """
    if head not in HEADS:
        raise ValueError(f"unknown fusion head {head!r}; there are {', '.join(HEADS)}")
    if d_align < 1:
        raise ValueError(f"d_align must be positive, got {d_align}")
    target = one_hot(labels, loss)  # (K, N)
    features, scaling = {}, {}
    for name, points in (("image", images), ("text", texts)):
        (features[name],) = chunks([points], f"{name} features")  # (Pi, N, Di) or (Pt, N, Dt)
        _same_samples(name, features[name].shape[1], "labels", target.shape[1])
        scaling[name] = standardise(features[name], scale)
    pairs = _checked_pairs(pairs, len(features["image"]), len(features["text"]))
    length = steps_of(steps, epochs, target.shape[1], batch_size)
    how = dict(steps=length, batch_size=batch_size, lr=lr, weight_decay=weight_decay)
    together = _pairs_together(head, features, d_align, batch_size, len(pairs))
    groups = [pairs[first : first + together] for first in range(0, len(pairs), together)]
    device = features["image"].device
    with bar(len(pairs) * length, "pairs", "step", progress) as shown:

        def fit_group(group):
            return _fit_group(head, features, target.to(device), group, d_align, loss, seed, shown, how)

        trained = [one for group in on_threads(fit_group, groups, device) for one in group]
    return [
        Fused(head, weights, _moments(scaling, pair), loss, losses)
        for pair, (weights, losses) in zip(pairs, trained, strict=True)
    ]


def _moments(scaling, pair):
    """The scaling of one pair: {modality: (mean, std)}, Tensors (1, D)."""
    points = zip(("image", "text"), pair, strict=True)
    return {name: tuple(values[point].cpu() for values in scaling[name]) for name, point in points}


def _fit_group(head, features, target, pairs, d_align, loss, seed, shown, how):
    """(weights, losses (epochs,)) of each of some pairs, trained in one go."""
    generator = torch.Generator().manual_seed(seed)
    first = first_weights(head, features, len(target), d_align, generator)
    repeated = [values.repeat(len(pairs), 1, 1) for values in first.values()]
    flat, views = packed(repeated, target.device)
    weights = dict(zip(first, views, strict=True))
    points = dict(zip(("image", "text"), zip(*pairs, strict=True), strict=True))
    shared = {name: Shared(x, points[name], head == "concat") for name, x in features.items()}
    gradients = _product_gradients if head in PRODUCTS else _autograd_gradients
    step, losses = gradients(head, weights, loss, shared), []

    def backward(rows):
        flat.grad.zero_()
        batch = {name: points.batch(rows) for name, points in shared.items()}
        values = step(batch, target.index_select(1, rows))  # (P,), summed over the batch
        losses.append(values)

    descend(
        flat,
        backward,
        n=target.shape[1],
        generator=generator,
        shown=lambda steps: shown.update(steps * len(pairs)),
        **how,
    )
    curves = _by_epoch(torch.stack(losses), target.shape[1], how["batch_size"])
    return [
        ({name: values[pair].detach().cpu() for name, values in weights.items()}, curves[pair])
        for pair in range(len(pairs))
    ]


def _by_epoch(losses, n, batch_size):
    """Mean loss in each epoch, ndarray (P, epochs), of losses (steps, P) summed over their batches."""
    batches = -(-n // batch_size)
    sizes = torch.full((batches,), float(batch_size))
    sizes[-1] = n - (batches - 1) * batch_size
    parts = [(part.cpu().sum(dim=0), sizes[: len(part)].sum()) for part in losses.split(batches)]
    return torch.stack([total / samples for total, samples in parts], dim=1).numpy()


def _autograd_gradients(head, weights, loss, shared):
    """A callable that fills the gradient from one batch and returns its losses (P,), for any head."""
    for values in weights.values():
        values.requires_grad_()

    def step(batch, target):
        inputs = (shared[name].of_pairs(batch[name]) for name in ("image", "text"))
        logits = logits_of(head, weights, *inputs).mT  # (P, K, B)
        values = _losses(logits, target, loss)
        values.sum().div(
            _averaged_over(target, loss)
        ).backward()  # each pair's loss reaches its own weights only
        return values.detach() / _labels(target, loss)

    return step


def _product_gradients(head, weights, loss, shared):
    """The same by hand, for heads that are products of matrices W (D, A) and C (A, K), or C (D, K) alone."""
    projections, apart = PRODUCTS[head]
    classifier, first, parts = weights["classifier"], 0, []
    for modality, name in projections.items():
        projection = weights.get(name)
        width = shared[modality].width if projection is None else projection.shape[2]
        rows = slice(first, first + width)
        first += width * apart
        parts.append((modality, projection, classifier[:, rows], classifier.grad[:, rows]))

    def step(batch, target):
        logits = weights["bias"].mT  # (P, K, 1)
        for modality, projection, rows, _ in parts:
            product = rows.mT if projection is None else torch.bmm(rows.mT, projection.mT)  # (P, K, D)
            logits = logits + shared[modality].times(product, batch[modality])  # (P, K, B)
        values = _losses(logits, target, loss)
        residual = LINKS_[loss](logits).sub_(target).div_(_averaged_over(target, loss))
        for modality, projection, rows, gradient in parts:
            slope = shared[modality].slopes(residual, batch[modality])  # (P, K, D)
            if projection is None:
                gradient.add_(slope.mT)
                continue
            torch.bmm(slope.mT, rows.mT, out=projection.grad)
            gradient.baddbmm_(projection.mT, slope.mT)
        torch.sum(residual.mT, dim=1, keepdim=True, out=weights["bias"].grad)
        return values / _labels(target, loss)

    return step


def _labels(target, loss):
    """Over how many labels the loss of one sample is averaged, of targets (K, B)."""
    return len(target) if loss == "bce" else 1


def _averaged_over(target, loss):
    """Over how many terms the loss of a batch is averaged."""
    return target.shape[1] * _labels(target, loss)


def _losses(logits, target, loss):
    """Summed loss of each pair, (P,), from logits (P, K, B) and targets (K, B)."""
    target = target.expand_as(logits)
    if loss == "bce":
        return binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=(1, 2))
    return cross_entropy(logits, target, reduction="none").sum(dim=1)  # classes lie along the second axis


def _pairs_together(head, features, d_align, batch_size, pairs):
    """How many of so many pairs are trained in one go: as many as stay near a core with their weights,
    gradients, Adam's two moments and attention maps, and a group for each thread; on a GPU as many as a
    working set holds."""
    _, projections = HEADS[head]
    numbers = 4 * sum(features[modality].shape[2] * d_align for modality in projections.values())
    if head == "channel_attention":
        numbers += 3 * batch_size * d_align**2  # scores, their softmax, a gradient
    on_gpu = features["image"].is_cuda
    fair = pairs if on_gpu else math.ceil(pairs / torch.get_num_threads())
    return max(1, min((WORKING_SET if on_gpu else CACHE) // (4 * max(1, numbers)), fair))


def _checked_pairs(pairs, images, texts):
    """All pairs, or the given ones if there are any and all are in range."""
    pairs = list(product(range(images), range(texts)) if pairs is None else pairs)
    if not pairs:
        raise ValueError("there is no pair to train; leave pairs out to train all of them")
    for i, t in pairs:
        if not (0 <= i < images and 0 <= t < texts):
            raise ValueError(f"pair {(i, t)} is out of range: points are 0..{images - 1} and 0..{texts - 1}")
    return pairs


def _same_samples(name, count, other, expected):
    if count != expected:
        raise ValueError(f"{name} has {count} samples, {other} has {expected}")
