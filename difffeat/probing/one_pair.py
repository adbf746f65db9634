"""One image point and one text point: their probes, the head on their sum, and the features inside that head.

N samples, K labels, A the width that both are projected to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from difffeat.base.remember import remembered, told
from difffeat.features.datasets import Split
from difffeat.probing import floors, fusion
from difffeat.probing.fusion import Fused
from difffeat.probing.grid import Grid
from difffeat.probing.heads import first_weights

HEAD = "addition"
CODE = (*floors.CODE, *(f"probing/{name}.py" for name in ("one_pair", "fusion", "heads", "shared")))


def read(images: Grid, texts: Grid, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of each grid's best point on its first noise seed: (N, Di) and (N, Dt)."""
    return tuple(grid.features[0][part].read(grid.best) for grid in (images, texts))


def fit(splits: Mapping[str, Split], images: Grid, texts: Grid, **protocol: object) -> Fused:
    """The addition head at the best point of each modality.

    Parameters
    ----------
    splits : dict of "train" and more to Split
    images, texts : Grid of the same samples in the same order
    **protocol : d_align, steps, ... as for `fusion.fit_pairs`

    Raises
    ------
    ValueError
        If the two grids are not of the same samples.
    """
    taken = [grid.features[0]["train"] for grid in (images, texts)]
    if not np.array_equal(taken[0].ids, taken[1].ids):
        raise ValueError("image and text features of train are not of the same samples in the same order")
    labels = splits["train"].select(taken[0].ids).labels
    return fusion.fit(HEAD, *read(images, texts, "train"), labels, **protocol)


def scores(
    splits: Mapping[str, Split],
    images: Grid,
    texts: Grid,
    *,
    d_align: int,
    root: Path | str | None = None,
    **length: object,
) -> dict[str, np.ndarray]:
    """Probabilities on test of a probe on each best point and of the addition head on both, all as long.

    Parameters
    ----------
    splits, images, texts : as in `fit`
    d_align : int, A
    root : path, optional, where the caches of features are: what is trained is kept beside them
    **length : steps or epochs

    Returns
    -------
    dict of "image", "text" and "fused" to arrays of shape (N, K)
    """
    found = {}
    train, test = (read(images, texts, part) for part in ("train", "test"))
    for name, grid, seen, judged in zip(("image", "text"), (images, texts), train, test, strict=True):
        labelled = {"train": splits["train"].select(grid.features[0]["train"].ids)}
        found[name] = floors.probe_scores(labelled, {"train": seen, "test": judged}, root=root, **length)

    def trained():
        return {"fused": fit(splits, images, texts, d_align=d_align, **length).scores(*test)}

    what = {"inputs": told(*train, *test, labelled["train"].labels), "scores": [d_align, length]}
    return found | remembered(floors.kept(root), what, CODE, trained)


@torch.inference_mode()
def representations(fused: Fused, image: np.ndarray, text: np.ndarray) -> dict[str, np.ndarray]:
    """What goes into an addition head and what it makes of it, and the sum of a head that learned nothing.

    Parameters
    ----------
    fused : Fused, head "addition"
    image : array of shape (N, Di); text : array of shape (N, Dt)

    Returns
    -------
    dict of name to float32 array, N rows each
        "image" and "text", standardised as the head takes them; "fused", the sum W_img h_img + W_txt h_txt;
        its two parts; the sum under the weights that training began with. Labels shaped W: the parts and the
        untrained sum say how much of a gain that explains.

    Source
    ------
    Diff-Feat, section 3.3, section 5.
    """
    given = {}
    for name, features in (("image", image), ("text", text)):
        mean, std = fused.scaling[name]
        given[name] = (torch.from_numpy(np.asarray(features, np.float32)) - mean) / std
    weights = fused.weights
    parts = {name: given[name] @ weights[name] for name in given}
    width, labels = weights["classifier"].shape
    wide = {name: values[None] for name, values in given.items()}
    first = first_weights(HEAD, wide, labels, width, torch.Generator().manual_seed(0))
    untrained = sum(given[name] @ first[name] for name in given)
    found = given | {"fused": parts["image"] + parts["text"]}
    found |= {f"{name}, projected": values for name, values in parts.items()}
    return {name: values.numpy() for name, values in found.items()} | {"untrained sum": untrained.numpy()}


def inside(
    splits: Mapping[str, Split],
    images: Grid,
    texts: Grid,
    rows: np.ndarray,
    root: Path | str | None = None,
    **protocol: object,
) -> dict[str, np.ndarray]:
    """`representations` of some test samples, under a head trained at the best point of each modality.

    Parameters
    ----------
    splits, images, texts, **protocol : as in `fit`
    rows : int array, the samples among those of test
    root : as for `scores`
    """
    taken = [features[rows] for features in read(images, texts, "test")]

    def trained():
        return representations(fit(splits, images, texts, **protocol), *taken)

    labels = splits["train"].select(images.features[0]["train"].ids).labels
    what = {"inputs": told(*read(images, texts, "train"), *taken, labels), "inside": protocol}
    return remembered(floors.kept(root), what, CODE, trained)
