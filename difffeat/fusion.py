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
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from difffeat.probe import LINKS, WORKING_SET, chunks, descend, first_linear, one_hot, standardise

BATCH = 128  # samples scored at a time, and the paper's training batch


def _concat(weights, image, text):
    """Concat(h_img / |h_img|, h_txt / |h_txt|)"""
    return torch.cat([normalize(image, dim=-1), normalize(text, dim=-1)], dim=-1)


def _linear_concat(weights, image, text):
    """Concat(W_img h_img, W_txt h_txt)"""
    return torch.cat([image @ weights["image"], text @ weights["text"]], dim=-1)


def _addition(weights, image, text):
    """W_img h_img + W_txt h_txt"""
    return image @ weights["image"] + text @ weights["text"]


def _cross_attention(weights, image, text):
    """softmax((W_Q h_img)(W_K h_txt)^T / sqrt(d_k)) W_V h_txt, each modality one token: a (1, A) row."""
    query, key, value = (image @ weights["query"], text @ weights["key"], text @ weights["value"])
    attention = attend(query.unsqueeze(-2), key.unsqueeze(-2), query.shape[-1])  # (P, B, 1, 1)
    return (attention @ value.unsqueeze(-2)).squeeze(-2)


def _channel_attention(weights, image, text):
    """softmax((W_Q h_img)(W_K h_txt)^T / sqrt(d_k)) W_V h_txt, each modality an (A, 1) column."""
    query, key, value = (image @ weights["query"], text @ weights["key"], text @ weights["value"])
    attention = attend(query.unsqueeze(-1), key.unsqueeze(-1), query.shape[-1])  # (P, B, A, A)
    return (attention @ value.unsqueeze(-1)).squeeze(-1)


def attend(query, key, d_k):
    """softmax(Q K^T / sqrt(d_k)), over the keys."""
    return torch.softmax(query @ key.mT / d_k**0.5, dim=-1)


_ADDED = {"image": "image", "text": "text"}
_ATTENDED = {"query": "image", "key": "text", "value": "text"}
# head -> how it joins (P, B, Di) and (P, B, Dt), and its projections with the modality that each reads
HEADS = {
    "concat": (_concat, {}),
    "linear_concat": (_linear_concat, _ADDED),
    "addition": (_addition, _ADDED),
    "cross_attention": (_cross_attention, _ATTENDED),
    "channel_attention": (_channel_attention, _ATTENDED),
}


@dataclass(frozen=True)
class Fused:
    """One trained fusion head with its classifier.

    Attributes
    ----------
    head : name in HEADS
    weights : dict of Tensors; the projections (Di or Dt, A), "classifier" (J, K) and "bias" (1, K)
    scaling : dict of modality -> (mean, std), Tensors (1, Di) or (1, Dt)
    loss : "bce" or "ce"
    losses : ndarray (epochs,), mean training loss of each epoch
    """

    head: str
    weights: dict
    scaling: dict
    loss: str
    losses: np.ndarray

    @torch.inference_mode()
    def scores(self, image, text):
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
        logits = [_logits(self.head, weights, *batch) for batch in zip(*inputs, strict=True)]
        return LINKS[self.loss](torch.cat(logits, dim=1).mT)[0].T.cpu().numpy()


def fit(head, image, text, labels, **protocol):
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
    head,
    images,
    texts,
    labels,
    *,
    pairs=None,
    d_align=512,
    loss="bce",
    epochs=40,
    batch_size=BATCH,
    lr=1e-3,
    scale="standard",
    seed=0,
    progress=False,
):
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
    labels, loss, epochs, batch_size, lr, scale, seed, progress
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
    target = one_hot(labels, loss).T  # (N, K)
    features, scaling = {}, {}
    for name, points in (("image", images), ("text", texts)):
        (features[name],) = chunks([points], f"{name} features")  # (Pi, N, Di) or (Pt, N, Dt)
        _same_samples(name, features[name].shape[1], "labels", len(target))
        scaling[name] = standardise(features[name], scale)
    pairs = _checked_pairs(pairs, len(features["image"]), len(features["text"]))
    together = _pairs_together(head, features, d_align, batch_size)
    fused = []
    for first in range(0, len(pairs), together):
        part = pairs[first : first + together]
        generator = torch.Generator().manual_seed(seed)
        weights = _first_weights(head, features, target.shape[1], d_align, len(part), generator)
        backward, losses = _gradients(head, weights, features, target.to(weights["bias"].device), part, loss)
        descend(
            list(weights.values()),
            backward,
            n=len(target),
            generator=generator,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            progress=progress,
        )
        curves = torch.stack(losses).view(epochs, -1, len(part)).sum(dim=1).T / len(target)  # (P, epochs)
        for pair, (i, t) in enumerate(part):
            own = {name: weight[pair].detach().cpu() for name, weight in weights.items()}
            moments = {
                name: tuple(values[point].cpu() for values in scaling[name])
                for name, point in (("image", i), ("text", t))
            }
            fused.append(Fused(head, own, moments, loss, curves[pair].cpu().numpy()))
    return fused


def _gradients(head, weights, features, target, pairs, loss):
    """The backward pass of one batch of all pairs, and the list it keeps of summed losses (P,) by step."""
    image_points, text_points = (list(points) for points in zip(*pairs, strict=True))
    losses = []

    def backward(rows):
        image = features["image"].index_select(1, rows)[image_points]  # (P, B, Di)
        text = features["text"].index_select(1, rows)[text_points]  # (P, B, Dt)
        values = _losses(_logits(head, weights, image, text), target[rows], loss)  # (P,)
        for weight in weights.values():
            weight.grad = None
        values.sum().backward()  # each pair's loss reaches its own weights only
        losses.append(values.detach() * len(rows))

    return backward, losses


def _logits(head, weights, image, text):
    """Classifier of the joined features, (P, B, K)."""
    join, _ = HEADS[head]
    return torch.baddbmm(weights["bias"], join(weights, image, text), weights["classifier"])


def _losses(logits, target, loss):
    """Mean loss of each pair, (P,), from logits (P, B, K) and targets (B, K)."""
    target = target.expand_as(logits)
    if loss == "bce":
        return binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=(1, 2))
    return cross_entropy(logits.movedim(2, 1), target.movedim(2, 1), reduction="none").mean(dim=1)


def _first_weights(head, features, labels, d_align, pairs, generator):
    """The same first weights for every pair, as `torch.nn.Linear` draws them, on the features' device."""
    join, projections = HEADS[head]
    weights = {}
    for name, modality in projections.items():
        weights[name] = first_linear(features[modality].shape[2], d_align, generator)[0].T  # (D, A)
    widths = (torch.zeros(1, features[modality].shape[2]) for modality in ("image", "text"))
    classifier, bias = first_linear(join(weights, *widths).shape[1], labels, generator)
    weights |= {"classifier": classifier.T, "bias": bias.T}  # (J, K), (1, K)
    device = features["image"].device
    return {name: w.repeat(pairs, 1, 1).to(device).requires_grad_() for name, w in weights.items()}


def _pairs_together(head, features, d_align, batch_size):
    """How many pairs fit in a working set: weights, gradients and Adam's two moments, and attention maps."""
    _, projections = HEADS[head]
    numbers = 4 * sum(features[modality].shape[2] * d_align for modality in projections.values())
    if head == "channel_attention":
        numbers += 3 * batch_size * d_align**2  # scores, their softmax, a gradient
    return max(1, WORKING_SET // (4 * max(1, numbers)))


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
