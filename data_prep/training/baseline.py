"""A small convolutional network trained on the labels themselves, as a rival of frozen features.

It has the shape of the classifier of scenes, sees the pictures of the training samples that probes see, and
nothing else: no pretraining and no caption.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from data_prep.training.classifier import SIDE, Classifier, fit
from difffeat.backbones.latents import square
from difffeat.base.remember import remembered
from difffeat.features.datasets import Split

CODE = ("../data_prep/training/baseline.py", "../data_prep/training/classifier.py")
CHUNK = 500  # pictures scored at a time


def scores(
    splits: Mapping[str, Split],
    *,
    epochs: int = 12,
    seed: int = 0,
    device: str = "cpu",
    root: Path | str | None = None,
) -> np.ndarray:
    """Train on the pictures of "train", score those of "test"; what was trained before is read.

    Parameters
    ----------
    splits : dict of "train" and "test" to Split
    epochs : int, passes over the training pictures
    seed : int, of first weights, order and mirroring
    device : str, as torch names it
    root : path, optional, where the caches of features are: scores are kept beside them

    Returns
    -------
    ndarray of float32, shape (N, K), probabilities on test
    """
    read = {part: splits[part] for part in ("train", "test")}
    what = {
        "pictures": {part: split.input_digest("image") for part, split in read.items()},
        "samples": {part: split.digest for part, split in read.items()},
        "how": [epochs, seed],
    }
    kept = None if root is None else Path(root).parent / "baselines"
    found = remembered(kept, what, CODE, lambda: {"scores": _scores(read, epochs, seed, device)})
    return found["scores"]


def _scores(splits, epochs, seed, device):
    train, test = splits["train"], splits["test"]
    labels = torch.from_numpy(np.asarray(train.labels, dtype=np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = Classifier(labels.shape[1]).to(device)
        fit(classifier, drawn(train), labels, epochs)
    classifier.eval()
    with torch.inference_mode():
        parts = [
            classifier(part.to(device).float() / 127.5 - 1).sigmoid().cpu()
            for part in drawn(test).split(CHUNK)
        ]
    return torch.cat(parts).numpy()


def drawn(split: Split) -> torch.Tensor:
    """The pictures of a split, uint8 Tensor (N, 3, 64, 64): the middle square, as backbones see it."""
    pictures = np.empty((len(split), SIDE, SIDE, 3), np.uint8)
    for row in range(len(split)):
        pictures[row] = np.asarray(square(split.image(row), SIDE))
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)
