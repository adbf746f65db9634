"""Semantic segmentation: which class every pixel shows, from the tokens of a frozen model.

Letters: N images, T tokens, D width, S pixels of a side, K classes. A linear classifier is trained on pixels
that are drawn from the training images, each with the tokens around it upsampled to it; on an image it is
run on the tokens, and what it says is upsampled, which is the same. A small head is no linear one, and reads
every pixel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

from difffeat.base.remember import told
from difffeat.probing import pixel_heads, pixels, probe

if TYPE_CHECKING:
    from difffeat.features.datasets import Split

SHOWN = 6  # test images whose predicted maps are kept, for a page to show
BATCH = 512  # pixels of a step of a linear classifier
LEARNING_RATE = 3e-3  # of the same
LINEAR = "linear"


@dataclass(frozen=True)
class Segmentation:
    """The task, with the label maps that it is trained and judged on.

    Attributes
    ----------
    maps : dict of "train", "val" and "test" to uint8 arrays (N, S, S) of classes, `IGNORED` where not judged
    names : tuple of K str
    head : "linear", or "small" for two hidden layers, see `pixel_heads`
    steps : int, of the optimiser
    each : int, pixels in the square of each token that are trained on
    every : int, of the pixels of an image each how many-th is judged, across and down
    members : int, of a small head: how many are trained and averaged
    seed : int, of the draw of pixels and the first weights
    rows : tuple of int, of the training images, those that are trained on; all where there is none
    """

    maps: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    head: str = LINEAR
    steps: int = 1500
    each: int = 1
    every: int = 1
    members: int = 1
    seed: int = 0
    rows: tuple[int, ...] = ()

    metrics = ("mIoU",)
    code = (
        "probing/segmentation.py",
        "probing/pixel_heads.py",
        "probing/probe.py",
        "probing/descent.py",
    )

    def __post_init__(self) -> None:
        if self.head not in (LINEAR, "small"):
            raise ValueError(f'head must be "linear" or "small", got {self.head!r}')

    @property
    def told(self) -> dict:
        """What decides the counts besides the tokens."""
        how = [getattr(self, field.name) for field in fields(self) if field.name != "maps"]
        return {"segmentation": how, "maps": told(*self.maps.values())}

    def counts(self, tokens: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Counts (N, 3, K) on val and test, and the predicted maps of the first test images as `shown`."""
        rows = list(self.rows) or slice(None)
        given = tokens["train"][rows], self.maps["train"][rows]
        features, classes = pixels.sampled(*given, self.seed, self.each)
        classify = self._linear(features, classes) if self.head == LINEAR else self._small(features, classes)
        found = {}
        for part in ("val", "test"):
            said = self._predicted(classify, tokens[part])
            found[part] = pixels.counted(said, self._judged(part), len(self.names))
        return found | {"shown": said[:SHOWN]}

    def values(self, part: str, counts: np.ndarray) -> dict[str, float]:
        """The mean intersection over union, a fraction."""
        return {"mIoU": float(pixels.mean_iou(counts.sum(axis=0)))}

    def draws(self, part: str, counts: np.ndarray, *, draws: int, seed: int) -> dict[str, np.ndarray]:
        """The same in resamples of the images."""
        return {"mIoU": pixels.iou_draws(counts, draws=draws, seed=seed)}

    def _judged(self, part):
        return self.maps[part][:, :: self.every, :: self.every]

    def _predicted(self, classify, tokens):
        """Classes (N, S', S'), a few images at a time."""
        side, found = self.maps["test"].shape[1], []
        for first in range(0, len(tokens), 16):
            some = torch.from_numpy(np.asarray(tokens[first : first + 16], np.float32))
            found.append(classify(some, side, self.every).to(torch.uint8).numpy())
        return np.concatenate(found)

    def _linear(self, features, classes):
        """A linear classifier of tokens, whose scores are upsampled."""
        labels = np.eye(len(self.names), dtype=np.uint8)[classes]
        length = dict(steps=self.steps, batch_size=BATCH, lr=LEARNING_RATE, seed=self.seed)
        probes = probe.fit_grid(features[None], labels, loss="ce", **length)
        weight, bias = probes.weight[0] / probes.std[0], probes.bias[0, :, 0]
        bias = bias - weight @ probes.mean[0, 0]

        def classify(tokens, side, every):
            return pixels.upsampled(tokens @ weight.T + bias, side, every).argmax(dim=1)

        return classify

    def _small(self, features, classes):
        """Small heads that read upsampled tokens; the mean of what they say counts."""
        return pixel_heads.fit(
            features, classes, len(self.names), steps=self.steps, members=self.members, seed=self.seed
        )


def scarce(
    splits: Mapping[str, Split], count: int, seeds: Sequence[int]
) -> tuple[dict[str, Split], list[tuple[int, ...]]]:
    """Splits whose train has no more images than are labelled, and of these the rows of each choice.

    Parameters
    ----------
    splits : dict of part to Split
    count : int, images of a choice, see `few`
    seeds : sequence of int, of the choices
    """
    train = splits["train"]
    chosen = [few(train.labels, count, seed) for seed in seeds]
    every = np.unique(np.concatenate(chosen))
    rows = [tuple(np.searchsorted(every, one).tolist()) for one in chosen]
    return dict(splits) | {"train": train.select(train.ids[every])}, rows


def few(labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Rows of a few images that show as many classes as so few can, as who labels few would choose them.

    Class by class, from the rarest, the next image in a random order that shows one that is not shown yet;
    then the next images whatever they show.

    Parameters
    ----------
    labels : array of shape (N, K), 1 where an image has a label
    count : int
    seed : int, of the order

    Returns
    -------
    int array of shape (count,), rising

    Raises
    ------
    ValueError
        If there are fewer images.
    """
    if not 0 < count <= len(labels):
        raise ValueError(f"{count} images were asked for, of {len(labels)}")
    order = np.random.default_rng([seed, 4]).permutation(len(labels))
    taken, shown = [], np.zeros(labels.shape[1], bool)
    for label in np.argsort(labels.sum(axis=0), kind="stable"):
        showing = [row for row in order if labels[row, label]]
        if showing and not shown[label] and len(taken) < count:
            taken.append(showing[0])
            shown |= labels[showing[0]] > 0
    rest = [row for row in order if row not in set(taken)]
    return np.sort(np.array(taken + rest[: count - len(taken)]))
