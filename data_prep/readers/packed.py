"""Pictures that come many in one file, written to a file each, once.

Three kinds of file hold them: records of bytes, as CIFAR's binary versions; `.tar` archives of the folders
that a data set was published as; and `.npz` files of whole pictures one after another:

    data (uint8)        the bytes of PNG or JPEG files
    offsets (int64)     one more than there are files: file i is data[offsets[i]:offsets[i + 1]]

Small real data sets are handed around as the last two.
"""

import io
import shutil
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.fetch.unpack import unpack as unpack_archive
from difffeat.base.checked import regular
from difffeat.base.contents import digests
from difffeat.base.files import cache_root, only_writer
from difffeat.base.progress import bar

TOGETHER = 1000  # images in a folder: the unit that is complete or not there
SIDE = 32  # pixels of CIFAR's images
KINDS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg"}  # by the first bytes of a file


def records(path: Path, labels: int, expected: str) -> np.ndarray:
    """Records of CIFAR's binary versions, uint8 (N, labels + 3072): label bytes, then red, green and blue.

    Parameters
    ----------
    path : Path
    labels : int, bytes of labels before each image
    expected : str, what the file should be, for errors

    Raises
    ------
    FileNotFoundError
        If it is not on disk.
    ValueError
        If it ends inside a record, or holds none.
    """
    size, record = regular(path, expected).stat().st_size, labels + 3 * SIDE * SIDE
    count, rest = divmod(size, record)
    if rest or not count:
        raise ValueError(
            f"{path} ends inside record {count} (counted from 0): its {size:,} bytes are not one or more "
            f"whole records of {record:,} bytes"
        )
    return np.memmap(path, np.uint8, mode="r").reshape(count, record)


def label_column(path: Path, column: np.ndarray, what: str, count: int) -> list[int]:
    """A column of labels as ints, once all are below `count`; ValueError names the first record otherwise."""
    wrong = np.flatnonzero(column >= count)
    if len(wrong):
        raise ValueError(
            f"{path}: record {wrong[0]} (counted from 0) has {what} {column[wrong[0]]}, expected "
            f"0 to {count - 1}"
        )
    return column.tolist()


def png(record: np.ndarray) -> bytes:
    """A record's image, (3072,) planes of red, green and blue, as the bytes of a PNG file."""
    return as_png(Image.fromarray(record.reshape(3, SIDE, SIDE).transpose(1, 2, 0)))


def as_png(image: Image.Image) -> bytes:
    """An image as the bytes of a PNG file."""
    content = io.BytesIO()
    image.save(content, format="PNG")
    return content.getvalue()


def columns(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Arrays of an `.npz` file of pictures: `data`, `offsets`, and a row a picture of each of `names`.

    Raises
    ------
    FileNotFoundError
        If it is not on disk.
    ValueError
        If it is damaged, an array is missing or of another length, or the offsets do not cut the data up.
    """
    try:
        with regular(path, "an .npz file of pictures").open("rb") as stream, np.load(stream) as file:
            if lacking := sorted({"data", "offsets", *names} - {*file.files}):
                raise ValueError(f"{path} lacks {', '.join(lacking)}; it has {', '.join(file.files)}")
            found = {name: file[name] for name in ("data", "offsets", *names)}
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"{path} is no .npz file, or ends early: {error}") from error
    offsets = found["offsets"]
    if offsets[0] or offsets[-1] != len(found["data"]) or (np.diff(offsets) <= 0).any():
        raise ValueError(f"{path}: offsets do not cut its {len(found['data']):,} bytes into files in order")
    for name in names:
        if len(found[name]) != len(offsets) - 1:
            raise ValueError(f"{path}: {len(found[name])} {name} of {len(offsets) - 1} pictures")
    return found


def whole(found: dict[str, np.ndarray]) -> Callable[[int], bytes]:
    """Place -> the bytes of that picture's file, of `columns`."""
    data, offsets = found["data"], found["offsets"].tolist()
    return lambda place: data[offsets[place] : offsets[place + 1]].tobytes()


def unpack(path: Path, places: Iterable[int], content: Callable[[int], bytes], kind: str) -> list[Path]:
    """Paths of pictures as files; those that are not there are written, a folder at a time.

    The folder's name follows the packed file's content, so that another file of that name gets other images.

    Parameters
    ----------
    path : Path of the packed file
    places : places of the pictures in it, ascending
    content : callable, place to the bytes of the picture's own file
    kind : str, a name for the data set, and the folder in the cache
    """
    (digest,) = digests([path])
    folder, places = cache_root() / "prepared" / kind / f"{path.stem}-{digest[:12]}", list(places)
    suffix = next((end for start, end in KINDS.items() if content(places[0]).startswith(start)), "img")
    files = [folder / f"{place - place % TOGETHER:05d}" / f"{place:05d}.{suffix}" for place in places]
    inside = {}
    for place, file in zip(places, files, strict=True):
        inside.setdefault(file.parent, []).append((place, file.name))
    with only_writer(folder), bar(len(places), f"unpack {path.name}", "images") as progress:
        for inner, pictures in inside.items():
            filled(inner, partial(_write, pictures=pictures, content=content))
            progress.update(len(pictures))
    return files


def _write(folder, pictures, content):
    """Pictures into a folder."""
    for place, name in pictures:
        (folder / name).write_bytes(content(place))


def opened(folder: Path | str, archive: str) -> Path:
    """The folder of a data set; where its archive lies there, one in the cache that this is unpacked to.

    Parameters
    ----------
    folder : path of the data
    archive : str, name of a .tar file that may lie in it

    Raises
    ------
    ValueError
        If the archive is damaged or unsafe.
    """
    path = Path(folder) / archive
    if not path.is_file():
        return Path(folder)
    (digest,) = digests([path])
    kept = cache_root() / "prepared" / f"{path.stem}-{digest[:12]}"
    with only_writer(kept):
        filled(kept, lambda begun: unpack_archive([path], begun))
    return kept


def filled(folder: Path, fill: Callable[[Path], object]) -> None:
    """Make a folder that has its name only when `fill` has put everything into it; one that is there stays.

    No other process may do so at the same time: see `only_writer`.

    Parameters
    ----------
    folder : Path
    fill : callable of the folder under another name
    """
    if folder.is_dir():
        return
    begun = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(begun, ignore_errors=True)  # of a run that was stopped
    begun.mkdir(parents=True)
    fill(begun)
    begun.rename(folder)
