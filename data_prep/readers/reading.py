"""What the readers of data sets share: text with its line numbers, checks of parts, a part held out."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from data_prep.kept import PARTS
from difffeat.base.checked import shown, text_of
from difffeat.features.datasets import Split


def modalities(*, images: bool = True, captions: bool = True, **_: object) -> set[str]:
    """What a reader with these settings gives of a data set that has images and captions."""
    return {name for name, taken in (("images", images), ("captions", captions)) if taken}


def unpacked(folder: Path | str, inner: str) -> Path:
    """`<folder>/<inner>`, as an archive unpacks, or `folder` where that is the inner folder already."""
    inside = Path(folder) / inner
    return inside if inside.is_dir() else Path(folder)


def there(path: Path | str, expected: str) -> Path:
    """The path itself, if something is there; `expected` says in the error what should be."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected {expected}: check the setting `folder`")
    return path


def pictures_in(folder: Path, suffixes: Sequence[str], expected: str) -> list[Path]:
    """The pictures of a folder by name; FileNotFoundError where it has none, which says what was expected."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes)
    if not found:
        raise FileNotFoundError(f"{folder} has no pictures; expected {expected}")
    return found


def text_lines(path: Path | str, encoding: str | None = None) -> Iterator[str]:
    """The lines of a text file, line ends kept, without a byte order mark at the start; see `text_of`."""
    return iter(io.StringIO(text_of(path, encoding), newline=""))


def listed(path: Path | str) -> dict[str, int]:
    """Entry -> line number of a list with one entry per line; blank lines and spaces around do not count.

    Raises
    ------
    ValueError
        If an entry comes twice, or there is none.
    """
    places = {}
    for number, line in enumerate(text_lines(path), start=1):
        entry = line.strip()
        if entry in places:
            raise ValueError(f"{path}, line {number}: {entry!r} is on line {places[entry]} already")
        if entry:
            places[entry] = number
    if not places:
        raise ValueError(f"{path} is empty; expected one entry per line")
    return places


def csv_rows(
    path: Path | str, width: int | None = None, encoding: str | None = None, delimiter: str = ","
) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, fields) of a CSV file; a field with line breaks counts as its last line.

    Raises
    ------
    ValueError
        If a row has not `width` fields (by default as many as the first row), a quote is left open, or a
        line is not in this encoding; the message names the file and the line.
    """
    rows = csv.reader(text_lines(path, encoding), delimiter=delimiter, strict=True)
    try:
        for fields in rows:
            width = width or len(fields)
            if len(fields) not in (0, width):  # 0: a blank line
                raise ValueError(f"{path}, line {rows.line_num}: {len(fields)} fields, expected {width}")
            if fields:
                yield rows.line_num, fields
    except csv.Error as error:
        raise ValueError(f"{path}, line {rows.line_num}: not CSV, or it ends early: {error}") from error


def tab_rows(path: Path | str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of a list with tabs between its cells, in which a quote is a letter.

    Raises
    ------
    ValueError
        If a line is none of a list, as one that is endless; the message names the file.
    """
    rows = csv.reader(text_lines(path), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        for cells in rows:
            yield rows.line_num, cells
    except csv.Error as error:
        raise ValueError(f"{path} has a line that is none of a list: {error}") from error


def number(cell: object, least: int = 0) -> int | None:
    """The integer of 64 bits that a cell spells in plain digits, or None."""
    text = cell.strip() if isinstance(cell, str) else ""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        return None
    value = int(text)
    return value if least <= value < 2**63 else None


def check_count(path: Path | str, found: int, published: int, what: str) -> None:
    """Refuse another number of samples than was published: mostly a download that stopped early."""
    if found != published:
        raise ValueError(
            f"{path}: {found:,} {what}, {published:,} were published; the download may be incomplete "
            f"(to read a part of the data set, set `check_counts: false`)"
        )


def held_together(parts: Mapping[str, Split]) -> dict[str, Split]:
    """The parts, with the same labels in the same order, once nothing is twice in one or in two of them.

    What is tested on must not be trained on: no sample id and no image file may come in two parts.

    Raises
    ------
    ValueError
        If a part has other labels than train, an image is twice in a part, or a sample or an image is in two.
    """
    parts = {part: _ordered(split, parts["train"], part) for part, split in parts.items()}
    for what, things in (("sample", _samples), ("image", _files)):
        seen = {}
        for part, split in parts.items():
            for thing, sample in zip(things(split), split.ids.tolist(), strict=False):
                if thing in seen:
                    raise ValueError(_twice(what, thing, seen[thing], (part, sample)))
                seen[thing] = part, sample
    return parts


def _samples(split):
    return split.ids.tolist()


def _files(split):
    """Each image as the one name that its file has, whatever way leads there."""
    real = cache(os.path.realpath)
    return [os.path.join(real(path.parent), path.name) for path in split.images]


def _twice(what, thing, before, now) -> str:
    """Why a thing that comes a second time is refused, and the way out."""
    if what == "sample":
        return (
            f"sample {thing} is in both {before[0]} and {now[0]}: what is tested on must not be trained on. "
            f"If they are different samples, number them through all parts (reader coco: set "
            f"`renumber: true`; reader table: leave the column for `id` out)"
        )
    where = f"twice in {now[0]}" if before[0] == now[0] else f"in both {before[0]} and {now[0]}"
    return (
        f"image {thing} is {where} (samples {before[1]} and {now[1]}): list each image once, in one part, "
        f"with all its labels"
    )


def _ordered(split, train, part) -> Split:
    """The split with its labels in the order of train's."""
    if split.names == train.names:
        return split
    has, lacks = sorted({*split.names} - {*train.names}), sorted({*train.names} - {*split.names})
    if has or lacks:
        raise ValueError(
            f"{part} and train have not the same labels: {part} alone has {_few(has)}, train alone has "
            f"{_few(lacks)}; give every part the same list of labels, in any order"
        )
    order = [split.names.index(name) for name in train.names]
    ignored = None if split.ignored is None else split.ignored[:, order]
    return replace(
        split, names=train.names, kinds=train.kinds, labels=split.labels[:, order], ignored=ignored
    )


def _few(names):
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(map(shown, names[:5])) + more if names else "none"


def check_parts(parts: Mapping) -> None:
    """Refuse names of parts without train and test, or with others than train, val and test."""
    if parts.keys() - set(PARTS) or not {"train", "test"} <= parts.keys():
        raise ValueError(f"parts must name train and test, and may name val; got {', '.join(parts)}")


def with_val(parts: dict[str, Split], count: int) -> dict[str, Split]:
    """Train, val and test; where there is no val, `count` samples of train are held out for it.

    Which ones depends on the ids alone.

    Raises
    ------
    ValueError
        If train has not more than `count` samples.
    """
    if "val" in parts:
        return parts
    train = parts["train"]
    if type(count) is not int or not 0 < count < len(train):
        raise ValueError(
            f"cannot hold out {shown(count)} of {len(train)} training samples for validation: set "
            f"`validation` to a number of samples that is smaller, or name a part `val`"
        )
    held = np.isin(train.ids, np.random.default_rng(0).choice(np.sort(train.ids), size=count, replace=False))
    val = replace(train.select(train.ids[held]), name="val")
    return parts | {"train": train.select(train.ids[~held]), "val": val}


def mixed(parts: Mapping[str, Split]) -> dict[str, Split]:
    """The parts with their samples in a fixed random order, so that the first ones are a fair sample.

    For data sets whose files are in an order that means something, as classes one after another. The order
    depends on the ids alone.
    """
    return {
        part: split.select(np.random.default_rng(0).permutation(np.sort(split.ids)))
        for part, split in parts.items()
    }
