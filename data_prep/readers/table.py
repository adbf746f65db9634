"""Reader of one's own data: a CSV or Parquet file with a row per sample becomes train, val and test.

    image,caption,labels,part
    photos/1.jpg,A robin on a branch.,bird|tree,train

Parquet needs pyarrow, the extra `parquet`: a large package that nothing else here uses.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data_prep.readers.reading import PARTS, check_parts, csv_rows, modalities, number, with_val
from difffeat.base.checked import FILE, LABEL, TEXT, many, regular, shown, take
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

ROLES = ("image", "caption", "labels", "id", "part")
SEPARATORS = ("|", ";", ",", "\t", "/", " ")  # that tables are written with
LISTED = re.compile(r"\[.*\]|\{.*\}|\(\s*['\"].*['\"]\s*,?\s*\)", re.DOTALL)  # of Python or JSON
SURE = ("|", ";", "\t", ",")  # those that a label seldom has in it


def gives(*, columns: Collection[str] = (), **_: object) -> set[str]:
    """What a page can find in these data; whether each sample has one class, only they can tell."""
    return {"one class"} | modalities(images="image" in columns, captions="caption" in columns)


def sources(folder: Path | str, *, files: str | dict, **_: object) -> list[Path]:
    """The tables."""
    return [
        regular(path, "a table, as the setting `files` names it") for path in _paths(folder, files).values()
    ]


def read(
    folder: Path | str,
    *,
    files: str | dict,
    columns: Mapping[str, str],
    dataset: str = "table",
    separator: str = "|",
    names: Sequence[str] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
    validation: int = 1000,
) -> dict[str, Split]:
    """Train, val and test of a table.

    Parameters
    ----------
    folder : path of the folder that the names of tables and images start at
    files : str, one table with a column for the part, or dict of part to its table; a name that ends in
        .parquet is Parquet, all others are CSV with a header
    columns : dict of role to the name of its column: "labels", and "image" (a path) or "caption" or both;
        optionally "id" (an integer; without it the row number, from 0, counted on from one file to the next)
        and "part" ("train", "val" or "test"). Other columns are passed over.
    dataset : str, the data set's name
    separator : str between the labels of a sample; none is an empty cell. A Parquet column of lists will do.
    names : label names in column order; by default all labels of the tables, sorted
    delimiter : str between the cells of a CSV file
    encoding : str of CSV files, as in "utf-8", "utf-16", "cp1252"; a byte order mark goes before it
    validation : int, samples of train held out where no sample is in part val

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a table or an image is not on disk.
    ModuleNotFoundError
        If a table is Parquet and pyarrow is not installed; the message says what to do.
    ValueError
        If a column is not there, a row has a cell too many, an empty image, a label outside `names`, an id
        that is no integer or a part that is none of the three, labels are written otherwise than `separator`
        says, a sample has a row for each of its labels, or a file is not of its format; the message names the
        file and the line (CSV) or row (Parquet, from 0).
    """
    _check_columns(files, columns)
    _check_texts(separator=separator, delimiter=delimiter, names=names)
    samples, place = {part: [] for part in PARTS}, 0
    for part, path in _paths(folder, files).items():
        for where, row in _rows(path, columns, delimiter, encoding):
            of = part or _choice(where, "part", row["part"], PARTS)
            samples[of].append(_sample(where, row, place, separator))
            place += 1
    for rows in samples.values():
        _check_one_row_each(rows, columns, separator)
    if names is None:
        names = _found(samples, separator)
    read = {
        part: _split(Path(folder), part, rows, names, columns, dataset)
        for part, rows in samples.items()
        if rows or part != "val"
    }
    return with_val(read, validation)


def _split(folder, part, rows, names, columns, dataset):
    place = {name: column for column, name in enumerate(names)}
    for where, row in rows:
        for label in row["labels"]:
            _choice(where, "label", label, place)
    ids = [row["id"] for _, row in rows]
    return Split(
        name=part,
        ids=ids,
        names=names,
        labels=multi_hot([[place[label] for label in row["labels"]] for _, row in rows], names, ids),
        captions=[row["caption"] for _, row in rows] if "caption" in columns else (),
        images=[folder / row["image"] for _, row in rows] if "image" in columns else (),
        dataset=dataset,
    )


def _sample(where, row, place, separator):
    """(where, the row with its labels as a list and its id as an int)."""
    kinds = {"image": FILE, "caption": TEXT}
    take(where, row, **{role: kinds[role] for role in kinds if role in row})
    return where, row | {"id": _id(where, row.get("id", place)), "labels": _labels(where, row, separator)}


def _id(where, cell):
    """An id as an integer; a cell of a CSV file is text that spells one."""
    whole = cell if type(cell) is int and -(2**63) <= cell < 2**63 else number(cell, least=-(2**63))
    if whole is None:
        raise ValueError(f"{where}: id is {shown(cell)}; expected an integer of 64 bits")
    return whole


def _labels(where, row, separator):
    """The labels of a cell: text with separators, or a list of Parquet's."""
    cell = row["labels"] or []
    if isinstance(cell, str):
        take(where, row, labels=TEXT)
        if LISTED.fullmatch(cell.strip()):
            raise ValueError(
                f"{where}: labels is {shown(cell)}, a list as Python or JSON writes it; expected labels with "
                f"{shown(separator)} between them, or what the setting `separator` says"
            )
        cell = cell.split(separator)
    take(where, {"labels": cell}, labels=many(TEXT))
    return [label.strip() for label in cell if label.strip()]


def _found(samples, separator):
    """All labels, sorted, once none looks as if it were several."""
    names = sorted({label for rows in samples.values() for _, row in rows for label in row["labels"]})
    for other in SEPARATORS:
        split = {name: [piece.strip() for piece in name.split(other)] for name in names if other in name}
        pieces = Counter(piece for name in names for piece in {*split.get(name, [name])})
        shared = [name for name, parts in split.items() if any(pieces[part] > 1 for part in parts)]
        if not shared or (other not in SURE and _unlike(split, pieces)):
            continue
        where = next(where for rows in samples.values() for where, row in rows if shared[0] in row["labels"])
        raise ValueError(
            f"{where}: the label {shown(shared[0])} looks like several: the setting `separator` is "
            f"{shown(separator)}, is it {shown(other)} in this file? If it is one label, list all labels "
            f"under the setting `names`"
        )
    return names


def _unlike(split, pieces):
    """Whether names have a blank or a slash as words do, "hot dog": a piece of one is no label elsewhere."""
    return any(pieces[piece] == 1 for parts in split.values() for piece in parts)


def _check_one_row_each(rows, columns, separator):
    """Refuse a row for each (sample, label): a sample is an image, or else an id, or else a text."""
    role = "image" if "image" in columns else "caption"
    if role == "caption" and "id" in columns:
        return
    seen = {}
    for where, row in rows:
        before, labels = seen.setdefault(row[role], (where, row["labels"]))
        if before != where and (role == "image" or labels != row["labels"]):
            way_out = "" if role == "image" else "; if they are different samples, name a column for `id`"
            raise ValueError(
                f"{where}: {role} is {shown(row[role])}, as at {before}; expected one row for each sample, "
                f"with all its labels in one cell, as in bird{separator}tree{way_out}"
            )


def _choice(where, what, value, known):
    if not isinstance(value, str) or value not in known:
        some = ", ".join(list(known)[:5]) + (f" ... ({len(known)} in all)" if len(known) > 5 else "")
        raise ValueError(f"{where}: {what} {shown(value)} is unknown; known: {some}")
    return value


def _check_texts(separator, delimiter, names):
    """Settings that are text."""
    if not isinstance(separator, str) or not separator:
        raise ValueError(f"the setting `separator` is {shown(separator)}; expected text, as in '|'")
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
        raise ValueError(f"the setting `delimiter` is {shown(delimiter)}; expected one character, as in ';'")
    if names is not None and not many(LABEL).holds(list(names) if isinstance(names, tuple) else names):
        raise ValueError(f"the setting `names` is {shown(names)}; expected a list of label names")


def _check_columns(files, columns):
    if not isinstance(columns, dict) or not all(isinstance(column, str) for column in columns.values()):
        raise ValueError(f"the setting `columns` is {shown(columns)}; expected the name of a column by role")
    if not isinstance(files, str | dict):
        raise ValueError(f"the setting `files` is {shown(files)}; expected a file, or a file for each part")
    unknown = sorted(columns.keys() - set(ROLES))
    if unknown:
        raise ValueError(f"columns names the roles {', '.join(unknown)}; known: {', '.join(ROLES)}")
    if "labels" not in columns or not {"image", "caption"} & columns.keys():
        raise ValueError(f"columns must name labels, and image or caption or both; got {', '.join(columns)}")
    if isinstance(files, str) != ("part" in columns):
        raise ValueError("give either one file and a column for the role part, or one file for each part")


def _paths(folder, files):
    """Part -> path; None stands for all parts."""
    if isinstance(files, str):
        return {None: Path(folder) / files}
    check_parts(files)
    return {part: Path(folder) / files[part] for part in PARTS if part in files}


def _rows(path, columns, delimiter, encoding):
    """Yield (where, role -> cell) of each row."""
    if path.suffix == ".parquet":
        yield from _parquet(path, columns)
        return
    rows = csv_rows(path, encoding=encoding, delimiter=delimiter)
    _, header = next(rows, (0, []))
    _check_header(path, header, columns, delimiter)
    places = {role: header.index(column) for role, column in columns.items()}
    for line, cells in rows:
        yield f"{path}, line {line}", {role: cells[place] for role, place in places.items()}


def _parquet(path, columns):
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path} needs pyarrow: pip install 'difffeat[parquet]', or write the table as CSV"
        ) from error
    try:
        with ParquetFile(path) as table:
            _check_header(path, table.schema_arrow.names, columns)
            place = 0
            for batch in table.iter_batches(columns=list(dict.fromkeys(columns.values()))):
                for row in batch.to_pylist():
                    yield f"{path}, row {place}", {role: row[column] for role, column in columns.items()}
                    place += 1
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not Parquet, or ends early: {error}") from error


def _check_header(path, header, columns, delimiter=None):
    lacking = [column for column in columns.values() if column not in header]
    if lacking:
        raise ValueError(
            f"{path} has no column {', '.join(map(repr, lacking))}; "
            f"its columns: {', '.join(header) or 'none'}{_other_delimiter(header, columns, delimiter)}"
        )
    twice = [column for column in columns.values() if header.count(column) > 1]
    if twice:
        raise ValueError(f"{path} has the column {twice[0]!r} more than once")


def _other_delimiter(header, columns, delimiter):
    """The setting to name in an error, where another delimiter gives all columns."""
    for other in [";", "\t", ",", "|"] if delimiter else []:
        cells = {cell.strip().strip('"') for name in header for cell in name.split(other)}
        if other != delimiter and {*columns.values()} <= cells:
            return f"; is it `delimiter: {shown(other)}`?"
    return ""
