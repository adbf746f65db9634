"""Reader of AG News: news articles of four topics, text alone.

Layout, as `ag_news_csv.tar.gz` unpacks:

    ag_news_csv/train.csv, test.csv     without a header: class 1 to 4, title, description
    ag_news_csv/classes.txt             the four names

or a part of it as two gzipped files beside classes.txt:

    test.csv.gz                         as above
    train_10000_of_120000.csv.gz        with a header: gt (class 0 to 3), text (title, " . ", description)
"""

from collections.abc import Sequence
from pathlib import Path

from data_prep.readers.reading import check_count, csv_rows, listed, mixed, unpacked, with_val
from difffeat.base.checked import regular, shown
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

COUNTS = {"train": 120000, "test": 7600}
FIELDS = ("title", "description")
PART = "train_10000_of_120000.csv.gz"


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"captions", "one class"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The files that labels and texts are read from."""
    root = unpacked(folder, "ag_news_csv")
    files = [PART, "test.csv.gz"] if _is_part(root) else ["train.csv", "test.csv"]
    files.append("classes.txt")
    return [regular(root / name, "the files of ag_news_csv.tar.gz") for name in files]


def read(
    folder: Path | str,
    *,
    fields: Sequence[str] = FIELDS,
    validation: int = 5000,
    check_counts: bool = True,
    dataset: str = "ag_news",
) -> dict[str, Split]:
    r"""Train, val and test of AG News, one label an article.

    The text is left as it is in the file, with its remains of HTML ("#39;", "&lt;b&gt;") and its backslashes
    in place of line breaks: the paper does not say that it cleaned it, nor which fields it took. Articles
    that come twice stay, as in the published counts. Sample ids are row numbers, from 0 in train.csv and
    from 120,000 in test.csv, so that no two articles share an id, and with it their noise.

    Parameters
    ----------
    folder : path of the folder that holds ag_news_csv, or of that folder
    fields : which of "title" and "description" make the text, in this order, one space between
    validation : int, articles of train held out for val, which the data set does not have
    check_counts : bool, whether a file must have as many articles as were published; of a part of the data
        set it is not asked
    dataset : str, the data set's name; of a part of it another, for its numbers are not the paper's

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file is not on disk.
    ValueError
        If a line has not three fields, a class that is not on the list, or bytes that are not UTF-8, a file
        has another number of articles than published, or `fields` names others.
    """
    if not fields or set(fields) - set(FIELDS):
        raise ValueError(f"fields are {list(fields)}; expected some of {', '.join(FIELDS)}")
    root = unpacked(folder, "ag_news_csv")
    names = list(listed(root / "classes.txt"))
    if _is_part(root):
        return _read_part(root, names, fields, validation, dataset)
    read = {}
    for part, first in (("train", 0), ("test", COUNTS["train"])):
        path = root / f"{part}.csv"
        columns, captions = _articles(path, names, fields)
        if check_counts:
            check_count(path, len(captions), COUNTS[part], "articles")
        ids = [first + place for place in range(len(captions))]
        read[part] = Split(part, ids, names, multi_hot(columns, names, ids), captions, dataset=dataset)
    return with_val(read, validation)


def _articles(path, names, fields, between=" "):
    """(label columns, texts) of the file."""
    classes = {str(number): [number - 1] for number in range(1, len(names) + 1)}
    columns, captions = [], []
    for line, (label, *texts) in csv_rows(path, width=1 + len(FIELDS)):
        if label not in classes:
            raise ValueError(f"{path}, line {line}: class {shown(label)}, expected 1 to {len(names)}")
        columns.append(classes[label])
        captions.append(between.join(texts[FIELDS.index(field)] for field in fields))
    return columns, captions


def _is_part(root):
    return (root / PART).exists()


def _read_part(root, names, fields, validation, dataset):
    """Train, val and test of the gzipped files, mixed; articles of train that are in test are left out."""
    if tuple(fields) != FIELDS:
        raise ValueError(f"{root / PART} holds both fields in one text, fields are {list(fields)}")
    tested = _articles(root / "test.csv.gz", names, fields, " . ")
    rows = csv_rows(root / PART)
    _, header = next(rows, (0, []))
    if lacking := {"gt", "text"} - {*header}:
        raise ValueError(f"{root / PART} has no column {', '.join(sorted(lacking))}")
    columns, captions, kept, seen = [], [], [], {*tested[1]}
    for place, (line, cells) in enumerate(rows):
        label, text = cells[header.index("gt")], cells[header.index("text")]
        if label not in map(str, range(len(names))):
            raise ValueError(f"{root / PART}, line {line}: gt {shown(label)}, expected 0 to {len(names) - 1}")
        if text not in seen:
            columns.append([int(label)])
            captions.append(text)
            kept.append(place)
    found = {"train": (kept, columns, captions)}
    found["test"] = ([COUNTS["train"] + place for place in range(len(tested[1]))], *tested)
    read = {
        part: Split(part, ids, names, multi_hot(labels, names, ids), texts, dataset=dataset)
        for part, (ids, labels, texts) in found.items()
    }
    return mixed(with_val(read, validation))
