"""What the readers of data sets share: text with its line numbers, checks of lists, a part held out."""

import codecs
import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from difffeat.datasets import Split

PARTS = ("train", "val", "test")


def modalities(*, images=True, captions=True, **_) -> set[str]:
    """What a reader with these settings gives of a data set that has images and captions."""
    return {name for name, taken in (("images", images), ("captions", captions)) if taken}


def unpacked(folder, inner) -> Path:
    """`<folder>/<inner>`, as an archive unpacks, or `folder` where that is the inner folder already."""
    inside = Path(folder) / inner
    return inside if inside.is_dir() else Path(folder)


def there(path, expected) -> Path:
    """The path itself, if something is there; `expected` says in the error what should be."""
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected {expected}: check the setting `folder`")
    return path


def text_lines(path, encoding="utf-8"):
    """Yield the lines of a text file, line ends kept, without a byte order mark at the start.

    Raises
    ------
    ValueError
        If a line is not in this encoding; the message names the file, the line and the byte.
    """
    with there(path, "a text file").open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            try:
                yield line.decode(encoding)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path}, line {number}: byte {line[error.start]:#04x} is not {encoding}; "
                    f"convert the file to {encoding}, or name its encoding if the reader takes one"
                ) from error


def listed(path) -> dict[str, int]:
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


def csv_rows(path, width=None, encoding="utf-8", delimiter=","):
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


def json_object(path) -> dict:
    """The object in a JSON file.

    Raises
    ------
    ValueError
        If the file is not JSON or not an object, or a key comes twice (Python alone keeps the last).
    """

    def unique(pairs):
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise KeyError(f"{path}: {twice!r} comes more than once")
        return dict(pairs)

    text = "".join(text_lines(path))
    try:
        content = json.loads(text, object_pairs_hook=unique)
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, or ends early: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}; expected an object")
    return content


def check_count(path, found, published, what):
    """Refuse another number of samples than was published: mostly a download that stopped early."""
    if found != published:
        raise ValueError(
            f"{path}: {found:,} {what}, {published:,} were published; the download may be incomplete "
            f"(to read a part of the data set, set `check_counts: false`)"
        )


def check_apart(parts):
    """Refuse a sample in two parts: what is tested on must not be trained on."""
    seen = {}
    for part, split in parts.items():
        for sample in split.ids.tolist():
            if sample in seen:
                raise ValueError(f"image {sample} is in both {seen[sample]} and {part}")
            seen[sample] = part


def check_parts(parts):
    """Refuse names of parts without train and test, or with others than train, val and test."""
    if parts.keys() - set(PARTS) or not {"train", "test"} <= parts.keys():
        raise ValueError(f"parts must name train and test, and may name val; got {', '.join(parts)}")


def with_val(parts, count) -> dict[str, Split]:
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
    if not 0 < count < len(train):
        raise ValueError(f"cannot hold out {count} of {len(train)} training samples for validation")
    held = np.isin(train.ids, np.random.default_rng(0).choice(np.sort(train.ids), size=count, replace=False))
    val = replace(train.select(train.ids[held]), name="val")
    return parts | {"train": train.select(train.ids[~held]), "val": val}
