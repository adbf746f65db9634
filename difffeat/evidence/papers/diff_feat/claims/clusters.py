"""What the paper says of clusters: fused features against those of one modality, by three indices."""

from collections.abc import Callable

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, numbers
from difffeat.probing.clusters import RATIOS, SIGN
from difffeat.probing.stats import Measured

PAGE = "33_clusters"
SPACES = {"plane": "on the t-SNE plane", "features": "in feature space"}
SOURCES = {
    "plane": "abstract, section 5, Table 10",
    "features": "abstract; measured on the plane alone there",
}
_SAID = {True: "how many times as tight as", False: "fused less"}


def tighter(index: str) -> Callable:
    """A test of fused, image and text numbers of an index: fused is tighter than each of the other two.

    DBI and CHI are compared as ratios, so many times as tight; the silhouette as differences.
    """
    there, back = (np.log, np.exp) if index in RATIOS else (np.asarray, np.asarray)

    def test(fused: Measured, image: Measured, text: Measured) -> shapes.Verdict:
        if not np.size(fused.values):
            raise shapes.TooFewPoints("two label sets with enough samples")
        gaps = [SIGN[index] * (there(fused.values) - there(other.values)) for other in (image, text)]
        draws = [SIGN[index] * (there(fused.draws) - there(other.draws)) for other in (image, text)]
        found = shapes.all_positive(np.stack(gaps), np.stack(draws, axis=1))
        ends = found.interval and tuple(float(back(end)) for end in found.interval)
        return found._replace(value=float(back(found.value)), interval=ends)

    return test


def printed(index: str) -> Callable:
    """Table 10's numbers of an index: fused, image, text."""

    def read(_: int) -> tuple:
        image, text, fused = paper.table(10)[index]
        return tuple(map(numbers, (fused, image, text)))

    return read


CLUSTERS = tuple(
    Claim(
        id=f"clusters_{index.lower()}_{space}",
        part="Clusters",
        text=f"Clusters: fused features are tighter than those of either modality, by {index} {where}",
        source=SOURCES[space],
        metric=f"{index}, {_SAID[index in RATIOS]} the nearer modality",
        test=tighter(index),
        published=printed(index) if space == "plane" else None,
        needs=PAGE,
    )
    for space, where in SPACES.items()
    for index in SIGN
)
