"""Where the pixels of a picture lie in the square that a backbone reads: label maps and keypoints follow it.

Letters: H, W pixels of the picture, S pixels of the square's side; `latents.square` has the three framings.
"""

from typing import NamedTuple

import numpy as np

from difffeat.backbones.latents import FRAMINGS


class Frame(NamedTuple):
    """A pixel (x, y) of the picture lies at (x * scale[0] - left, y * scale[1] - top) of the square."""

    scale: tuple[float, float]
    left: float
    top: float
    side: int

    def points(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 2) of the picture as those of the square; what was cut off lies outside of it."""
        return np.asarray(points, dtype=float) * self.scale - [self.left, self.top]

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """A label map (H, W) as that of the square, (S, S): each pixel takes the class of its middle."""
        middle = np.arange(self.side) + 0.5
        rows = ((middle + self.top) / self.scale[1]).astype(int)
        columns = ((middle + self.left) / self.scale[0]).astype(int)
        height, width = labels.shape
        return labels[np.minimum(rows, height - 1)[:, None], np.minimum(columns, width - 1)]


def frame(width: int, height: int, side: int, framing: str = "published") -> Frame:
    """How a picture of this size becomes a square of `side` pixels.

    Raises
    ------
    ValueError
        If the framing is unknown.
    """
    if framing not in FRAMINGS:
        raise ValueError(f"framing {framing!r} is unknown; known: {', '.join(FRAMINGS)}")
    if framing == "whole" or (width, height) == (side, side):
        return Frame((side / width, side / height), 0, 0, side)
    if framing == "centre":
        edge = min(width, height)
        scale = side / edge
        return Frame((scale, scale), (width - edge) // 2 * scale, (height - edge) // 2 * scale, side)
    wide, high = width, height
    while min(wide, high) >= 2 * side:
        wide, high = wide // 2, high // 2
    scale = side / min(wide, high)
    wide, high = round(wide * scale), round(high * scale)
    return Frame((wide / width, high / height), (wide - side) // 2, (high - side) // 2, side)
