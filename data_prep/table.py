"""Reader of one's own data: a CSV or Parquet file with a row per sample becomes train, val and test.

    image,caption,labels,part
    photos/1.jpg,A robin on a branch.,bird|tree,train

Parquet needs pyarrow, the extra `parquet`: a large package that nothing else here uses.
"""

from pathlib import Path

from data_prep._reading import PARTS, check_parts, csv_rows, modalities, there, with_val
from difffeat.datasets import Split, multi_hot

ROLES = ("image", "caption", "labels", "id", "part")


def gives(*, columns=(), **_) -> set[str]:
    """What a page can find in these data; whether each sample has one class, only they can tell."""
    return {"one class"} | modalities(images="image" in columns, captions="caption" in columns)


def sources(folder, *, files, **_) -> list[Path]:
    """The tables."""
    return [
        there(path, "a table, as the setting `files` names it") for path in _paths(folder, files).values()
    ]


def read(
    folder,
    *,
    files,
    columns,
    dataset="table",
    separator="|",
    names=None,
    delimiter=",",
    encoding="utf-8",
    validation=1000,
) -> dict[str, Split]:
    """Train, val and test of a table.

    Parameters
    ----------
    folder : path of the folder that the names of tables and images start at
    files : str, one table with a column for the part, or dict of part to its table; a name that ends in
        .parquet is Parquet, all others are CSV with a header
    columns : dict of role to the name of its column: "labels", and "image" (a path) or "caption" or both;
        optionally "id" (an integer; without it the row number in its file, from 0) and "part" ("train", "val"
        or "test"). Other columns are passed over.
    dataset : str, the data set's name
    separator : str between the labels of a sample; none is an empty cell. A Parquet column of lists will do.
    names : label names in column order; by default all labels of the tables, sorted
    delimiter : str between the cells of a CSV file
    encoding : str of CSV files; any in which a line ends as in ASCII
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
        that is no integer or a part that is none of the three, or a file is not of its format; the message
        names the file and the line (CSV) or row (Parquet, from 0).
    """
    _check_columns(files, columns)
    samples = {part: [] for part in PARTS}
    for part, path in _paths(folder, files).items():
        for place, (where, row) in enumerate(_rows(path, columns, delimiter, encoding)):
            of = part or _choice(where, "part", row["part"], PARTS)
            samples[of].append(_sample(where, row, place, separator))
    found = {label for rows in samples.values() for _, row in rows for label in row["labels"]}
    names = sorted(found) if names is None else list(names)
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
    for role in {"image", "caption"} & row.keys():
        if not isinstance(row[role], str) or (role == "image" and not row[role].strip()):
            raise ValueError(f"{where}: {role} is {row[role]!r}; expected text")
    return where, row | {"id": _id(where, row.get("id", place)), "labels": _labels(where, row, separator)}


def _id(where, cell):
    try:
        number = int(cell)
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(cell, float) or not -(2**63) <= number < 2**63:
        raise ValueError(f"{where}: id {cell!r} is not an integer of 64 bits")
    return number


def _labels(where, row, separator):
    cell = row["labels"] or []
    labels = cell.split(separator) if isinstance(cell, str) else cell
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"{where}: labels is {cell!r}; expected text")
    return [label.strip() for label in labels if label.strip()]


def _choice(where, what, value, known):
    if value not in known:
        some = ", ".join(list(known)[:5]) + (f" ... ({len(known)} in all)" if len(known) > 5 else "")
        raise ValueError(f"{where}: {what} {value!r} is unknown; known: {some}")
    return value


def _check_columns(files, columns):
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
    _check_header(path, header, columns)
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
            number = 0
            for batch in table.iter_batches(columns=list(dict.fromkeys(columns.values()))):
                for row in batch.to_pylist():
                    yield f"{path}, row {number}", {role: row[column] for role, column in columns.items()}
                    number += 1
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not Parquet, or ends early: {error}") from error


def _check_header(path, header, columns):
    lacking = [column for column in columns.values() if column not in header]
    if lacking:
        raise ValueError(
            f"{path} has no column {', '.join(map(repr, lacking))}; "
            f"its columns: {', '.join(header) or 'none'}"
        )
    twice = [column for column in columns.values() if header.count(column) > 1]
    if twice:
        raise ValueError(f"{path} has the column {twice[0]!r} more than once")
