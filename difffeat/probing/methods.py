"""Several ways to label the same test samples, judged alike: every metric, and differences in pairs.

N test samples, K labels, M methods.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from difffeat.features.datasets import Split
from difffeat.probing import grid, metrics, stats


@dataclass(frozen=True)
class Methods:
    """Scores of M methods on one split.

    Attributes
    ----------
    split : Split of N samples
    scores : dict of name to array of shape (N, K), probabilities
    resamples : int, of the samples, for intervals
    """

    split: Split
    scores: Mapping[str, np.ndarray]
    resamples: int = 200

    def measured(self, name: str) -> stats.Measured:
        """The mAP of one method, with draws over samples."""
        judged = self.split.judged(self.scores[name])
        draws = stats.map_draws(*judged, **self._draws)
        return stats.Measured(float(metrics.mean_average_precision(*judged)), draws)

    def report(self, name: str) -> dict[str, float]:
        """What the field prints of one method: CF1 of both kinds and OF1, of all labels and of three at most.

        Source
        ------
        Diff-Feat, Table 1; the top-3 columns of ML-GCN's Table 1.
        """
        judged = self.split.judged(self.scores[name])
        every, three = metrics.report(*judged), metrics.report_top3(*judged)
        names = ("CF1_macro", "CF1_harmonic", "OF1")
        return {key: every[key] for key in names} | {f"top-3 {key}": three[key] for key in names}

    def less(self, one: str) -> dict[str, tuple[float, stats.Interval]]:
        """mAP of one method less that of every other, each with its paired interval."""
        others = [name for name in self.scores if name != one]
        labels, judged = self.split.judged(np.stack([self.scores[name] for name in (one, *others)]))
        ends = stats.paired_bootstrap(labels, judged[:1], judged[1:], **self._draws)
        values = metrics.mean_average_precision(labels, judged)
        return {
            name: (float(values[0] - value), stats.Interval(float(low), float(high)))
            for name, value, low, high in zip(others, values[1:], ends.low, ends.high, strict=True)
        }

    @property
    def _draws(self):
        return dict(draws=self.resamples, seed=grid.RESAMPLING["test"])
