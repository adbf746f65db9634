"""Fused features measured: mAP of (image point, text point) pairs, trained together and remembered.

A point is (timestep, block); a pair is (image point, text point). R draws, N samples, K labels.
"""

from dataclasses import dataclass

import numpy as np

from difffeat import fusion, metrics, stats
from difffeat.grid import PARTS


@dataclass(frozen=True)
class Pair:
    """One measured pair, averaged over noise seeds.

    Attributes
    ----------
    val, test : float, mAP as a fraction; pairs are chosen on val, numbers are read on test
    draws, val_draws : arrays of shape (R,), the same over resampled images and noise seeds, the very
        resamples of a `grid.Grid`
    losses : array of shape (epochs,), mean training loss of each epoch
    """

    val: float
    test: float
    draws: np.ndarray
    val_draws: np.ndarray
    losses: np.ndarray

    @property
    def on_test(self):
        """The mAP on test, `stats.Measured`."""
        return stats.Measured(self.test, self.draws)

    @property
    def interval(self):
        """95 % interval of the test mAP."""
        return self.on_test.interval


class Pairs:
    """Measures pairs of one image and one text grid with one fusion head, each pair once.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    images, texts : sequences of dicts of the same parts to cache.Features, one for each noise seed, of the
        same samples in the same order; a modality with one seed goes with every seed of the other
    head : name in fusion.HEADS
    resamples : int, bootstrap resamples of the test images, R
    train : int, how many of the training samples the heads see, the first of them; by default all
    **protocol : d_align, steps, ... as for `fusion.fit_pairs`

    Raises
    ------
    ValueError
        If images and texts are not of the same samples, the message names the part; or if their numbers of
        seeds do not go together.
    """

    def __init__(self, splits, images, texts, head="addition", resamples=200, train=None, **protocol):
        seeds = max(len(images), len(texts))
        if not (images and texts):
            raise ValueError("there are no features of images or none of texts")
        if {len(images), len(texts)} - {1, seeds}:
            raise ValueError(f"{len(images)} noise seeds of images do not go with {len(texts)} of texts")
        self.images, self.texts = images * (seeds // len(images)), texts * (seeds // len(texts))
        for image, text in zip(self.images, self.texts, strict=True):
            for part in splits:
                if not np.array_equal(image[part].ids, text[part].ids):
                    raise ValueError(
                        f"image and text features of {part} are not of the same samples in the same order"
                    )
        self.splits = {part: split.select(self.images[0][part].ids) for part, split in splits.items()}
        self.head, self.resamples, self.train, self.protocol = head, resamples, train, protocol
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
    def at_best(self):
        """The mAP on test of the best pair; draws choose it anew on their own val, as of `Grid.at_best`."""
        measured = list(self.measured.values())
        places = np.stack([pair.val_draws for pair in measured]).argmax(axis=0)  # (R,)
        draws = np.stack([pair.draws for pair in measured])[places, np.arange(len(places))]
        return stats.around(self.measured[self.best].test, draws)

    @property
    def test(self):
        """Test mAP of the measured pairs in order, (P,), and its draws, (R, P)."""
        measured = self.measured.values()
        return np.array([pair.test for pair in measured]), np.stack([pair.draws for pair in measured], axis=1)

    def measure(self, pairs):
        """Train and measure the pairs that have not been, together; returns `pairs`."""
        new = list(dict.fromkeys(_plain(pair) for pair in pairs if _plain(pair) not in self.measured))
        if new:
            by_seed = [self._measured(new, *found) for found in zip(self.images, self.texts, strict=True)]
            self.measured |= dict(zip(new, map(_over_seeds, zip(*by_seed, strict=True)), strict=True))
        return pairs

    def _measured(self, pairs, images, texts):
        """A `Pair` of one noise seed for each pair."""
        image_points, text_points = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        train = (
            _stack(images["train"], image_points)[:, : self.train],
            _stack(texts["train"], text_points)[:, : self.train],
        )
        places = [(image_points.index(image), text_points.index(text)) for image, text in pairs]
        labels = self.splits["train"].labels[: self.train]
        trained = fusion.fit_pairs(self.head, *train, labels, pairs=places, progress=True, **self.protocol)
        return [self._read(fused, images, texts, *pair) for pair, fused in zip(pairs, trained, strict=True)]

    def _read(self, fused, images, texts, image, text):
        """mAP of one trained pair on val and test."""
        values, draws = {}, {}
        for part in PARTS:
            features = images[part].read(*reversed(image)), texts[part].read(*reversed(text))
            judged = self.splits[part].judged(fused.scores(*features))
            values[part] = metrics.mean_average_precision(*judged)
            draws[part] = stats.map_draws(*judged, draws=self.resamples, seed=PARTS[part])
        return Pair(values["val"], values["test"], draws["test"], draws["val"], fused.losses)


def _over_seeds(pairs):
    """The same pair under several noise seeds as one."""
    val, test = (float(np.mean([getattr(pair, part) for pair in pairs])) for part in ("val", "test"))
    draws, val_draws = (
        stats.over_seeds(np.stack([getattr(pair, name) for pair in pairs], axis=1))
        for name in ("draws", "val_draws")
    )
    return Pair(val, test, draws, val_draws, np.mean([pair.losses for pair in pairs], axis=0))


def _plain(pair):
    """A pair as plain tuples, so that a named point and its numbers are one key."""
    return tuple(tuple(map(int, point)) for point in pair)


def _stack(features, points):
    """Features of several (timestep, block) points, (P, N, D)."""
    return np.stack([features.read(block, timestep) for timestep, block in points])
