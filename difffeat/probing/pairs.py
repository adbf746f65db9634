"""Fused features measured: (image point, text point) pairs, trained together, by mAP and the paper's other
metrics, and remembered.

A point is (timestep, block); a pair is (image point, text point). R draws, N samples, K labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from difffeat.base.remember import remembered
from difffeat.features.cache import Features
from difffeat.features.datasets import Split
from difffeat.features.parts import decided
from difffeat.features.points import Point
from difffeat.probing import fusion, grid, scoring, stats
from difffeat.probing.grid import RESAMPLING, Grid

MADE_BY = (
    "pairs",
    "fusion",
    "heads",
    "shared",
)  # the modules that make the numbers of a pair, beside a grid's
CODE = (*grid.CODE, *(f"probing/{name}.py" for name in MADE_BY))
BY = scoring.scoring("mAP")  # pairs are chosen by it


@dataclass(frozen=True)
class Pair:
    """One measured pair, averaged over noise seeds.

    Attributes
    ----------
    val, test : float, mAP as a fraction; pairs are chosen on val, numbers are read on test
    draws, val_draws : arrays of shape (R,), the same over resampled images and noise seeds, the very
        resamples of a `grid.Grid`
    losses : array of shape (epochs,), mean training loss of each epoch
    others : dict of the other metrics of the same scores on test to a `stats.Measured`, their draws of the
        same resamples: the paper's CP, CR, ... beside mAP
    """

    val: float
    test: float
    draws: np.ndarray
    val_draws: np.ndarray
    losses: np.ndarray
    others: Mapping[str, stats.Measured] = field(default_factory=dict)

    @property
    def on_test(self) -> stats.Measured:
        """The mAP on test, `stats.Measured`."""
        return stats.Measured(self.test, self.draws)

    @property
    def interval(self) -> stats.Interval:
        """95 % interval of the test mAP."""
        return self.on_test.interval


class Pairs:
    """Measures pairs of one image and one text grid with one fusion head, each pair once.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    images, texts : sequences of dicts of the same parts to cache.Features, one for each noise seed, of the
        same samples in the same order; a modality with one seed goes with every seed of the other
    head : name in heads.HEADS
    resamples : int, bootstrap resamples of the test images, R
    train : int, how many of the training samples the heads see, the first of them; by default all
    device : torch.device, where the heads are trained
    root : path, optional, where the caches of features are: what was measured is kept beside them, and read
        where it was measured before
    **protocol : d_align, steps, ... as for `fusion.fit_pairs`

    Raises
    ------
    ValueError
        If images and texts are not of the same samples, the message names the part; or if their numbers of
        seeds do not go together.
    """

    def __init__(
        self,
        splits: Mapping[str, Split],
        images: Sequence[Mapping[str, Features]],
        texts: Sequence[Mapping[str, Features]],
        head: str = "addition",
        resamples: int = 200,
        train: int | None = None,
        root: Path | str | None = None,
        device: torch.device | str = "cpu",
        **protocol: object,
    ) -> None:
        seeds = max(len(images), len(texts))
        if not (images and texts):
            raise ValueError("there are no features of images or none of texts")
        if {len(images), len(texts)} - {1, seeds}:
            raise ValueError(f"{len(images)} noise seeds of images do not go with {len(texts)} of texts")
        self.images, self.texts, self.seeds = images, texts, seeds
        for image, text in self._by_seed():
            for part in splits:
                if not np.array_equal(image[part].ids, text[part].ids):
                    raise ValueError(
                        f"image and text features of {part} are not of the same samples in the same order"
                    )
        self.splits = {part: split.select(self.images[0][part].ids) for part, split in splits.items()}
        self.head, self.resamples, self.train, self.protocol = head, resamples, train, protocol
        self.device = device
        self.kept = None if root is None else Path(root).parent / "pairs"
        self.measured = {}

    def _by_seed(self):
        """(image features, text features) of each noise seed; the one seed of a modality comes again."""
        return [
            (self.images[seed % len(self.images)], self.texts[seed % len(self.texts)])
            for seed in range(self.seeds)
        ]

    def __call__(self, pairs: Sequence[tuple]) -> list[float]:
        """mAP on val of each pair: the evaluation function that `search` asks for."""
        return [self[pair].val for pair in self.measure(pairs)]

    def __getitem__(self, pair: tuple) -> Pair:
        """The `Pair`, measured if it has not been."""
        self.measure([pair])
        return self.measured[_points(pair)]

    @property
    def by_label(self) -> dict:
        """{("(50, 8)", "(0, 4)"): (mAP on test, its interval)}: points as figures write them."""
        return {
            (Point.of(image).label, Point.of(text).label): (pair.test, pair.interval)
            for (image, text), pair in self.measured.items()
        }

    @property
    def best(self) -> tuple[Point, Point]:
        """The measured pair with the highest mAP on val; of equal ones the first measured."""
        return max(self.measured, key=lambda pair: self.measured[pair].val)

    @property
    def at_best(self) -> stats.Measured:
        """The mAP on test of the best pair; draws choose it anew on their own val, as of `Grid.at_best`."""
        return self._chosen([pair.on_test for pair in self.measured.values()])

    @property
    def others_at_best(self) -> dict[str, stats.Measured]:
        """The other metrics on test of that pair, by name; draws choose the pair by mAP, as mAP's do."""
        measured = list(self.measured.values())
        return {name: self._chosen([pair.others[name] for pair in measured]) for name in measured[0].others}

    def _chosen(self, on_test):
        """One metric of the pair that val chooses, of the `Measured` of all pairs in order."""
        places = np.stack([pair.val_draws for pair in self.measured.values()]).argmax(axis=0)  # (R,)
        draws = np.stack([one.draws for one in on_test])[places, np.arange(len(places))]
        return stats.around(on_test[list(self.measured).index(self.best)].value, draws)

    @property
    def test(self) -> tuple[np.ndarray, np.ndarray]:
        """Test mAP of the measured pairs in order, (P,), and its draws, (R, P)."""
        measured = self.measured.values()
        return np.array([pair.test for pair in measured]), np.stack([pair.draws for pair in measured], axis=1)

    def measure(self, pairs: Sequence[tuple]) -> Sequence[tuple]:
        """Train and measure the pairs that have not been, together; returns `pairs`."""
        new = list(dict.fromkeys(_points(pair) for pair in pairs if _points(pair) not in self.measured))
        for alike in _by_width(new):
            found = remembered(self.kept, self._what(alike), CODE, partial(self._trained, alike))
            for place, pair in enumerate(alike):
                self.measured[pair] = _over_seeds({name: values[place] for name, values in found.items()})
        return pairs

    def _what(self, pairs):
        """All that decides the numbers of some pairs."""
        return decided([*self.images, *self.texts], self.splits) | {
            "pairs": pairs,
            "modalities": [len(self.images), len(self.texts)],
            "judged": [self.head, self.resamples, self.train, self.protocol],
        }

    def _trained(self, pairs):
        """Pairs of every noise seed, trained together, by name: val, test, OP/test (P, S), draws, val_draws,
        OP/draws (P, S, R), losses (P, S, epochs)."""
        image_points, text_points = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        places = [
            (
                seed % len(self.images) * len(image_points) + image_points.index(image),
                seed % len(self.texts) * len(text_points) + text_points.index(text),
            )
            for image, text in pairs
            for seed in range(self.seeds)
        ]
        train = (self._stack(self.images, image_points), self._stack(self.texts, text_points))
        labels = self.splits["train"].labels[: self.train]
        trained = fusion.fit_pairs(self.head, *train, labels, pairs=places, progress=True, **self.protocol)
        of_seeds = [(pair, *found) for pair in pairs for found in self._by_seed()]
        rows = [self._read(fused, *which) for fused, which in zip(trained, of_seeds, strict=True)]
        return {
            name: np.reshape([row[name] for row in rows], (len(pairs), self.seeds, *np.shape(rows[0][name])))
            for name in rows[0]
        }

    def _stack(self, seeds, points):
        """Training features of several points of each noise seed, a Tensor (S * P, N, D)."""
        read = [parts["train"].read(point) for parts in seeds for point in points]
        return torch.from_numpy(np.stack(read)[:, : self.train]).to(self.device)

    def _read(self, fused, pair, images, texts):
        """What one trained pair reaches, and its draws, by name as `_over_seeds` takes them."""
        image, text = pair
        held = {"losses": fused.losses}
        for part, prefix in (("val", "val_"), ("test", "")):
            judged = self.splits[part].judged(fused.scores(images[part].read(image), texts[part].read(text)))
            how = dict(draws=self.resamples, seed=RESAMPLING[part])
            held |= {part: BY.value(*judged), f"{prefix}draws": BY.draws(*judged, **how)}
        held |= {f"{name}/test": value for name, value in BY.others(*judged).items()}  # of test, the last
        return held | {f"{name}/draws": draws for name, draws in BY.other_draws(*judged, **how).items()}


def _over_seeds(held):
    """What was measured of a pair under each of S noise seeds, by name, as one `Pair`."""
    means = {name: float(np.mean(held[name])) for name in held if name.split("/")[-1] in RESAMPLING}
    draws = {name: stats.over_seeds(held[name].T) for name in held if name.endswith("draws")}
    others = [name.removesuffix("/test") for name in held if name.endswith("/test")]
    return Pair(
        means["val"],
        means["test"],
        draws["draws"],
        draws["val_draws"],
        np.mean(held["losses"], axis=0),
        {name: stats.Measured(means[f"{name}/test"], draws[f"{name}/draws"]) for name in others},
    )


def _by_width(pairs):
    """Lists of the pairs that can be trained together: a place inside a block is as wide as its tokens."""
    alike = {}
    for pair in pairs:
        alike.setdefault(tuple(point.place for point in pair), []).append(pair)
    return alike.values()


def _points(pair):
    """A pair of points, from whatever (timestep, block) or (timestep, block, place) are given."""
    return tuple(map(Point.of, pair))


def side_by_side(images: Grid, texts: Grid, pair: tuple[tuple, tuple]) -> dict[str, np.ndarray]:
    """Both features of a pair of points in one: {part: (N, Di + Dt)}, of the first noise seed.

    Parameters
    ----------
    images, texts : Grid of the same samples
    pair : ((timestep, block), (timestep, block))
    """
    image, text = pair
    return {
        part: np.concatenate(
            [
                images.features[0][part].read(image),
                texts.features[0][part].read(text),
            ],
            axis=1,
        )
        for part in images.features[0]
    }
