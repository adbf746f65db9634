"""What is known of single pixels and points of pictures: label maps, and objects with named keypoints.

Readers of data sets give them, by sample id; tasks on tokens read them. Letters: H, W pixels of a picture.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

IGNORED = 255  # in a label map: what is not judged


@dataclass(frozen=True)
class LabelMaps:
    """Which class every pixel of a picture shows.

    Attributes
    ----------
    names : tuple of K str, the classes
    of : callable of a sample id, gives its map: uint8 array (H, W) of classes from 0, `IGNORED` elsewhere
    """

    names: tuple[str, ...]
    of: Callable[[int], np.ndarray]

    def __post_init__(self) -> None:
        if not 1 < len(self.names) <= IGNORED:
            raise ValueError(f"label maps have 2 to {IGNORED} classes, got {len(self.names)}")

    def read(self, sample: int) -> np.ndarray:
        """The map of a sample, checked.

        Raises
        ------
        ValueError
            If it is no picture of classes; the message names the sample and the value.
        """
        found = np.asarray(self.of(int(sample)))
        if found.ndim != 2 or found.dtype != np.uint8:
            raise ValueError(
                f"the label map of sample {sample} is {found.dtype} {found.shape}, not uint8 (H, W)"
            )
        wrong = found[(found >= len(self.names)) & (found != IGNORED)]
        if len(wrong):
            raise ValueError(
                f"the label map of sample {sample} has class {wrong[0]}; there are {len(self.names)}, from 0"
            )
        return found


def classes_shown(maps: Iterable[np.ndarray], classes: int) -> np.ndarray:
    """Which classes each of N label maps shows anywhere, uint8 (N, K): labels of the pictures."""
    rows = []
    for found in maps:
        shown = np.unique(found)
        rows.append(np.isin(np.arange(classes), shown[shown != IGNORED]))
    return np.array(rows, np.uint8).reshape(-1, classes)


@dataclass(frozen=True)
class Annotated:
    """An object with named keypoints.

    Attributes
    ----------
    image : int, the id of its sample
    category : str
    box : (left, top, right, bottom), pixels of the picture
    points : dict of name to (x, y), pixels, of those that are seen
    """

    image: int
    category: str
    box: tuple[float, float, float, float]
    points: Mapping[str, tuple[float, float]] = field(default_factory=dict)
