"""Pictures as files: found under the name that they have on disk, read as every viewer shows them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from unicodedata import normalize

import numpy as np
from PIL import Image

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")  # none runs a program
BACKGROUND = "white"  # under what is transparent
MOST_PIXELS = 150_000_000  # phones take 108 million; decoded it is half a gigabyte
LONGEST = 100  # times the shorter side: a line of pixels, resized to a square on that side, fills any memory
ORIENTATION = 0x0112  # the tag of EXIF
UPRIGHT = {  # its values, and what undoes them
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def picture(path: Path | str) -> Image.Image:
    """The picture in a file, in RGB of 8 bits, upright.

    Raises
    ------
    OSError, ValueError
        If the file is no regular one, is of none of `FORMATS`, is damaged, or has absurd dimensions, which is
        seen before it is decoded. Decoders raise others as well.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise ValueError("it is no file but a folder, a pipe or a device")
    # By a stream, not by name: Pillow maps a plain TIFF into memory, and then takes its rows for its columns
    # where it lies on its side.
    with Path(path).open("rb") as stream:
        try:
            image = Image.open(stream, formats=_formats())
        except Image.UnidentifiedImageError as error:
            known = ", ".join(_formats())
            raise ValueError(f"it is no whole picture of a format that is read: {known}") from error
        _check_size(*image.size)
        image.load()  # which turns a TIFF, and takes the note away
        turn = UPRIGHT.get(_orientation(image))
        image = _rgb(image)
    return image.transpose(turn) if turn is not None else image


@cache
def _formats():
    """Those that Pillow has a decoder for here."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(width, height):
    if width * height > MOST_PIXELS or max(width, height) > LONGEST * min(width, height):
        raise ValueError(
            f"it says that it is {width:,} x {height:,} pixels; expected {MOST_PIXELS:,} at most, and no "
            f"side more than {LONGEST} times the other"
        )


def _orientation(image):
    """How the pixels lie; notes beside them that cannot be read are no reason to refuse a whole picture."""
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # whatever Pillow meets in them
        return None


def _rgb(image):
    """Any mode of Pillow's to RGB; greyscale of 16 bits is scaled, where Pillow alone cuts it at 255."""
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers of unknown range; store it with 8 or 16 bits")
    if image.mode.startswith("I"):  # "I;16" and its byte orders, or "I", in which Pillow opens other 16 bits
        return _grey(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, BACKGROUND), image).convert("RGB")
    return image.convert("RGB")


def _grey(image):
    """Greyscale of 16 bits to 8; the value that stands for transparent becomes the background."""
    grey = np.asarray(image)
    low, high = int(grey.min()), int(grey.max())
    if low < 0 or high > 65535:
        raise ValueError(f"its pixels are {low} to {high}; expected 8 or 16 bits")
    eight = np.round(grey / np.float32(257)).astype(np.uint8)  # 65535 / 257 = 255
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        eight[grey == clear] = 255
    return Image.fromarray(eight)


def on_disk(paths: Iterable[Path]) -> tuple[list[Path], list[str]]:
    """Paths as they are on disk, and those that are not there, each with what lies there of a like name.

    A name may differ from the one on disk by case, by slashes of Windows, by Unicode form (composed or not)
    and by blanks around it. One listing per folder, not one look per file: data sets on network disks have
    100,000 of them.
    """
    disk, found, missing = _Disk(), [], []
    for path in paths:
        if path.name in disk.names(path.parent):
            found.append(path)
            continue
        there, alike = disk.like(path)
        if there:
            found.append(there)
        else:
            missing.append(f"{path} (there: {', '.join(alike[:5])})" if alike else str(path))
    return found, missing


class _Disk:
    """Listings of folders, each made once."""

    def __init__(self):
        self.names, self.keyed = cache(_names), cache(self._keyed)
        self.is_folder = cache(os.path.isdir)  # false, not an error, for a name that no disk can have

    def _keyed(self, folder, stems=False):
        """Key of a name -> the names with that key; of names without suffix where `stems`."""
        keyed = {}
        for name in sorted(self.names(folder)):
            keyed.setdefault(_key(Path(name).stem if stems else name), []).append(name)
        return keyed

    def like(self, path):
        """(the one path on disk that is like this one, or None; else the names that may be meant)."""
        here, rest = Path(os.path.normpath(str(path).replace("\\", "/"))), []
        while here != here.parent and not self.is_folder(here):
            here, rest = here.parent, [here.name, *rest]
        found = [here] if rest else []
        for name in [name for name in rest if name.strip() not in ("", ".")]:
            before, found = found, [path / alike for path in found for alike in self.alike(path, name)]
            if not found:
                stems = [self.keyed(path, True).get(_key(Path(name).stem), []) for path in before]
                return None, sum(stems, [])
        return (found[0], []) if len(found) == 1 else (None, [str(path) for path in found])

    def alike(self, folder, name):
        """Names in a folder that are this one, or else may be meant by it."""
        return [name] if name in self.names(folder) else self.keyed(folder).get(_key(name), [])


def _names(folder: Path) -> frozenset[str]:
    return frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()


def _key(name) -> str:
    return normalize("NFC", normalize("NFC", name).casefold()).strip()
