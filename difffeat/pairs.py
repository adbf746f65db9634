"""Fused features measured: mAP of (image point, text point) pairs, trained together and remembered.

A point is (timestep, block); a pair is (image point, text point). N samples, K labels.
"""

from dataclasses import dataclass

import numpy as np

from difffeat import fusion, metrics, stats


@dataclass(frozen=True)
class Pair:
    """One measured pair.

    Attributes
    ----------
    val, test : float, mAP as a fraction; pairs are chosen on val, numbers are read on test
    draws : array of shape (R,), test mAP over resampled images, the same ones as of a `grid.Grid`
    losses : array of shape (epochs,), mean training loss of each epoch
    """

    val: float
    test: float
    draws: np.ndarray
    losses: np.ndarray

    @property
    def interval(self):
        """95 % interval of the test mAP over images."""
        return stats.percentiles(self.draws)


class Pairs:
    """Measures pairs of one image and one text grid with one fusion head, each pair once.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    images, texts : dicts of the same parts to cache.Features, of the same samples in the same order
    head : name in fusion.HEADS
    resamples : int, bootstrap resamples of the test images, R
    **protocol : d_align, epochs, ... as for `fusion.fit_pairs`

    Raises
    ------
    ValueError
        If images and texts are not of the same samples; the message names the part.
    """

    def __init__(self, splits, images, texts, head="addition", resamples=200, **protocol):
        for part in splits:
            if not np.array_equal(images[part].ids, texts[part].ids):
                raise ValueError(
                    f"image and text features of {part} are not of the same samples in the same order"
                )
        self.splits = {part: split.select(images[part].ids) for part, split in splits.items()}
        self.images, self.texts, self.head = images, texts, head
        self.resamples, self.protocol = resamples, protocol
        self.measured = {}

    def __call__(self, pairs):
        """mAP on val of each pair: the evaluation function that `search` asks for."""
        return [self[pair].val for pair in self.measure(pairs)]

    def __getitem__(self, pair):
        """The `Pair`, measured if it has not been."""
        self.measure([pair])
        return self.measured[_plain(pair)]

    @property
    def best(self):
        """The measured pair with the highest mAP on val; of equal ones the first measured."""
        return max(self.measured, key=lambda pair: self.measured[pair].val)

    @property
    def test(self):
        """Test mAP of the measured pairs in order, (P,), and its draws, (R, P)."""
        measured = self.measured.values()
        return np.array([pair.test for pair in measured]), np.stack([pair.draws for pair in measured], axis=1)

    def measure(self, pairs):
        """Train and measure the pairs that have not been, together; returns `pairs`."""
        new = list(dict.fromkeys(_plain(pair) for pair in pairs if _plain(pair) not in self.measured))
        if new:
            image_points, text_points = (sorted({pair[side] for pair in new}) for side in (0, 1))
            train = _stack(self.images["train"], image_points), _stack(self.texts["train"], text_points)
            places = [(image_points.index(image), text_points.index(text)) for image, text in new]
            trained = fusion.fit_pairs(
                self.head, *train, self.splits["train"].labels, pairs=places, **self.protocol
            )
            self.measured |= {
                pair: self._read(fused, *pair) for pair, fused in zip(new, trained, strict=True)
            }
        return pairs

    def _read(self, fused, image, text):
        """mAP of one trained pair on val and test."""
        judged = {}
        for part in ("val", "test"):
            features = self.images[part].read(*reversed(image)), self.texts[part].read(*reversed(text))
            judged[part] = self.splits[part].judged(fused.scores(*features))
        values = {part: metrics.mean_average_precision(*judged[part]) for part in judged}
        draws = stats.map_draws(*judged["test"], draws=self.resamples)
        return Pair(values["val"], values["test"], draws, fused.losses)


def _plain(pair):
    """A pair as plain tuples, so that a named point and its numbers are one key."""
    return tuple(tuple(map(int, point)) for point in pair)


def _stack(features, points):
    """Features of several (timestep, block) points, (P, N, D)."""
    return np.stack([features.read(block, timestep) for timestep, block in points])
