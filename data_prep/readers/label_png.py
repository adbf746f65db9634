"""Label maps in PNG files of one channel."""

from pathlib import Path

import numpy as np
from PIL import Image

from difffeat.base.checked import regular


def labels_in(path: Path, most: int) -> np.ndarray:
    """The label map in a PNG, uint8 (H, W).

    Parameters
    ----------
    path : Path
    most : int, the highest value that it may hold

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, or is no such picture; the message names it.
    """
    regular(path, "the label map of an image")
    try:
        with Image.open(path, formats=["PNG"]) as image:
            found = np.array(image)
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises on damaged files
        raise ValueError(f"{path} is no whole PNG: {error}") from error
    if found.ndim != 2 or found.dtype not in (np.uint8, bool) or found.max(initial=0) > most:
        raise ValueError(
            f"{path} is {found.dtype} {found.shape} with values up to {found.max(initial=0)}; expected one "
            f"channel of 8 bits with 0 to {most}"
        )
    return found.astype(np.uint8)
