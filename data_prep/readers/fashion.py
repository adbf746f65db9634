"""Reader of the Fashion Product Images data set, small version: photos of a shop, titles, attribute fields.

Layout, as the archive of Kaggle unpacks:

    styles.csv          id, gender, masterCategory, subCategory, articleType, baseColour, season, year, usage,
                        productDisplayName; a title that holds commas is not quoted
    images/<id>.jpg     60 x 80 pixels

or as two files, where it is handed around without the archive:

    products.tsv.gz     id, master, sub, type, colour, usage, title, and other columns; tabs between
    images.npz          `data` and `offsets` of the same JPEG files (see `packed`), `ids` in this order
"""

import csv
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from data_prep.readers import packed
from data_prep.readers.reading import mixed, number, tab_rows, text_lines, there, with_val
from difffeat.base.checked import regular, shown
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

# field: (its column in styles.csv, its column in products.tsv.gz)
FIELDS = {
    "master": ("masterCategory", "master"),
    "sub": ("subCategory", "sub"),
    "type": ("articleType", "type"),
    "colour": ("baseColour", "colour"),
    "usage": ("usage", "usage"),
}
TITLE = ("productDisplayName", "title")
TESTED = 10  # one picture in this many is of test
TITLES = ("written", "masked")
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
JOINING = {"and", "of", "on", "men", "women"}  # words of values that no label says
MASK = "item"  # stands for a word that names a value of a field


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "captions", "kinds"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The files that labels and titles are read from; of the two files, the pictures as well."""
    if _is_packed(folder):
        return [
            regular(Path(folder) / name, "a file of products") for name in ("products.tsv.gz", "images.npz")
        ]
    return [regular(Path(folder) / "styles.csv", "the table of the Kaggle archive, or products.tsv.gz")]


def read(
    folder: Path | str,
    *,
    fields: Sequence[str] = ("type", "colour", "usage"),
    titles: str = "written",
    least: float = 0.01,
    validation: int = 4000,
) -> dict[str, Split]:
    """Train, val and test of the products, a label for each common value of each field.

    A product has at most one label of a field. The data set has no test part: a picture is of test where the
    first 32 bits of the SHA-256 of its file are a multiple of 10, so that the split needs no list and equal
    pictures stay together. Of pictures that are equal byte for byte the first is kept.

    Parameters
    ----------
    folder : path
    fields : which of `FIELDS` make labels; `Split.kinds` says of which field a label is
    titles : "written", as the shop has them, or "masked": a neutral word for every word that is in the name
        of a value of these fields, common or not, in the singular and the plural; most titles name type and
        colour
    least : float, share of the training products that a value must have to be a label
    validation : int, products of train held out for val

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file is not on disk.
    ValueError
        If a field or `titles` is unknown, a column is missing, a row has an id that is no number or is there
        already, or no value of the fields is common enough.
    """
    if not fields or set(fields) - FIELDS.keys():
        raise ValueError(f"fields are {list(fields)}; expected some of {', '.join(FIELDS)}")
    if titles not in TITLES:
        raise ValueError(f"titles is {titles!r}; expected {' or '.join(TITLES)}")
    folder = Path(folder)
    products, pictures, contents = (_packed if _is_packed(folder) else _unpacked)(folder)
    parts = _parts(products, contents)
    values = _common(products, parts["train"], fields, least)
    if titles == "masked":
        _mask(products, fields)
    read = {}
    for part, ids in parts.items():
        columns = [[values[key] for key in _values(products[one], fields) if key in values] for one in ids]
        names = _names(values)
        read[part] = Split(
            name=part,
            ids=ids,
            names=names,
            kinds=[field for field, _ in values],
            labels=multi_hot(columns, names, ids),
            captions=[products[one]["title"] for one in ids],
            images=[pictures[one] for one in ids],
            dataset="fashion",
        )
    return mixed(with_val(read, validation))


def _is_packed(folder):
    return (Path(folder) / "images.npz").exists()


def _unpacked(folder):
    """({id: product}, {id: its picture}, id -> the bytes of that) of the Kaggle archive.

    Some rows of its table have no picture: these are passed over, as by everybody who uses the set.
    """
    path = folder / "styles.csv"
    products = {}
    lines = csv.reader(text_lines(path))
    header = next(lines, [])
    for cells in lines:
        spare = len(cells) - len(header)  # commas of a title, the last column
        if spare > 0:
            cells[-1 - spare :] = [",".join(cells[-1 - spare :])]
        _product(products, path, lines.line_num, header, cells, 0)
    there(folder / "images", "the pictures of the Kaggle archive")
    pictures = {one: folder / "images" / f"{one}.jpg" for one in products}
    products = {one: product for one, product in products.items() if pictures[one].is_file()}
    return products, pictures, lambda one: pictures[one].read_bytes()


def _packed(folder):
    """As `_unpacked`, of the two files."""
    path = folder / "products.tsv.gz"
    lines = tab_rows(path)
    (_, header), products = next(lines, (0, [])), {}
    for line, cells in lines:
        _product(products, path, line, header, cells, 1)
    found = packed.columns(folder / "images.npz", "ids")
    places = {one: place for place, one in enumerate(found["ids"].tolist())}
    if lacking := products.keys() - places.keys():
        raise ValueError(f"{folder / 'images.npz'} has no picture of product {min(lacking)}")
    content = packed.whole(found)
    files = packed.unpack(folder / "images.npz", range(len(places)), content, "fashion")
    return products, {one: files[place] for one, place in places.items()}, lambda one: content(places[one])


def _product(products, path, line, header, cells, layout):
    """Add a row to the products, {id: {field or "title": value}}; rows of a wrong shape are refused."""
    wanted = {"id": "id", "title": TITLE[layout]} | {field: names[layout] for field, names in FIELDS.items()}
    if lacking := sorted(set(wanted.values()) - set(header)):
        raise ValueError(f"{path} has no column {', '.join(lacking)}; its columns: {', '.join(header)}")
    if len(cells) != len(header):
        raise ValueError(f"{path}, line {line}: {len(cells)} cells, expected {len(header)}")
    row = {name: cells[header.index(column)].strip() for name, column in wanted.items()}
    one = number(row.pop("id"))
    if one is None or one in products:
        raise ValueError(
            f"{path}, line {line}: id {shown(cells[header.index('id')])} is no number, or is there already"
        )
    products[one] = row


def _parts(products, contents):
    """{"train", "test"} to ids, equal pictures once."""
    parts, seen = {"train": [], "test": []}, set()
    for one in products:
        digest = hashlib.sha256(contents(one)).digest()
        if digest not in seen:
            seen.add(digest)
            tested = int.from_bytes(digest[:4], "big") % TESTED == 0
            parts["test" if tested else "train"].append(one)
    return parts


def _values(product, fields):
    """(field, value) of what a product has."""
    return [(field, product[field]) for field in fields if product[field] not in ("", "NA")]


def _common(products, train, fields, least):
    """{(field, value): column} of the values that enough products have, by field, common ones first."""
    counts = Counter(key for one in train for key in _values(products[one], fields))
    common = [key for key, count in counts.items() if count >= least * len(train)]
    if not common:
        raise ValueError(f"no value of {', '.join(fields)} is on {least:.2%} of the products: lower `least`")
    common.sort(key=lambda key: (list(fields).index(key[0]), -counts[key], key[1]))
    return {key: column for column, key in enumerate(common)}


def _names(values):
    """A name for each label: its value, with the field where another field has that value too."""
    alone = [value for _, value in values]
    return [value if alone.count(value) == 1 else f"{value} ({field})" for field, value in values]


def _mask(products, fields):
    """Replace the words of titles that are in the name of a value."""
    named = {value for product in products.values() for _, value in _values(product, fields)}
    stems = {_stem(word) for value in named for word in WORD.findall(value)} - JOINING
    for product in products.values():
        product["title"] = WORD.sub(
            lambda found: MASK if _stem(found.group()) in stems else found.group(), product["title"]
        )


def _stem(word):
    """A word without what tells T-shirt, Tshirts and tshirt's apart."""
    word = word.lower().replace("-", "").removesuffix("'s").replace("'", "")
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
