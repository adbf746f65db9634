"""The fashion reader, on small files in both of its layouts, and labels by kind."""

import gzip
import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from test_cifar100 import npz

import data_prep
from difffeat.features import kinds
from difffeat.features.prepared import load

TYPES = {"Tshirts": "Nike Men's Blue T-Shirt, Round Neck", "Watches": "Titan Women Watch in Red"}
HEADER = "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"


def products(count=60):
    """(id, type, colour, usage, title, JPEG bytes) of made-up products; two of them have one picture."""
    made = []
    for number in range(count):
        kind = list(TYPES)[number % 2]
        colour, usage = ("Blue", "Navy Blue", "Red")[number % 3], "Casual" if number else "Party"
        content = io.BytesIO()
        shade = (4 * (number - (number == 11))) % 256
        Image.new("RGB", (60, 80), (shade, 99, 30)).save(content, format="JPEG")
        made.append((1000 + number, kind, colour, usage, TYPES[kind], content.getvalue()))
    return made


@pytest.fixture
def kaggle(tmp_path):
    root = tmp_path / "kaggle"
    (root / "images").mkdir(parents=True)
    lines = [HEADER]
    for one, kind, colour, usage, title, picture in products():
        (root / "images" / f"{one}.jpg").write_bytes(picture)
        lines.append(f"{one},Men,Apparel,Topwear,{kind},{colour},Fall,2011,{usage},{title}")
    lines.append("9,Men,Apparel,Topwear,Tshirts,Blue,Fall,2011,Casual,a row without a picture")
    (root / "styles.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def packed_files(tmp_path):
    root, made = tmp_path / "packed", products()
    root.mkdir()
    lines = ["id\tmaster\tsub\ttype\tcolour\tusage\ttitle"]
    lines += [f"{one}\tApparel\tTopwear\t{k}\t{c}\t{u}\t{title}" for one, k, c, u, title, _ in made]
    (root / "products.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    npz(root / "images.npz", [one[-1] for one in made], ids=np.array([one[0] for one in made], np.int32))
    return root


def splits(root, **options):
    return data_prep.splits(
        {"reader": "fashion", "folder": str(root), "validation": 9, "least": 0.05} | options
    )


def test_labels_titles_and_the_rule_of_the_split(kaggle):
    read, made = splits(kaggle), {one[0]: one for one in products()}
    assert sum(map(len, read.values())) == 59, "60 products, two of which have one picture"
    tested = {
        one for one, *_, file in made.values() if not int(hashlib.sha256(file).hexdigest()[:8], 16) % 10
    }
    assert set(read["test"].ids) == tested - {1011} and len(read["val"]) == 9
    for split in read.values():
        assert set(split.kinds) == {"type", "colour", "usage"}
        for row, one in enumerate(split.ids.tolist()):
            _, kind, colour, usage, title, _ = made[one]
            held = {name for name, on in zip(split.names, split.labels[row], strict=True) if on}
            assert held == {kind, colour, usage} - {"Party"}, "a value of one product is not common enough"
            assert split.captions[row] == title, "a comma of a title is not a new cell"


def test_both_layouts_give_the_same(kaggle, packed_files):
    one, other = splits(kaggle), splits(packed_files)
    for part, split in one.items():
        assert split.digest == other[part].digest
        assert split.input_digest("image") == other[part].input_digest("image")


def test_masked_titles_say_no_value_in_any_form(kaggle):
    said = set(splits(kaggle, titles="masked")["train"].captions)
    assert said == {"Nike Men's item item, Round Neck", "Titan Women item in item"}
    with pytest.raises(ValueError, match="titles is 'hidden'; expected written or masked"):
        splits(kaggle, titles="hidden")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1001,Men,A,B,C,D,E,F,G,again", r"line 63: id .*1001.* is no number, or is there already"),
        ("x,Men,A,B,C,D,E,F,G,title", r"line 63: id .x. is no number"),
        ("77,Men,A", "line 63: 3 cells, expected 10"),
    ],
)
def test_damaged_rows_are_named(kaggle, row, message):
    with (kaggle / "styles.csv").open("a") as stream:
        stream.write(row + "\n")
    with pytest.raises(ValueError, match=message):
        splits(kaggle)


def test_wrong_settings_and_files_are_named(kaggle, packed_files):
    with pytest.raises(ValueError, match="fields are .*expected some of master, sub, type, colour, usage"):
        splits(kaggle, fields=["size"])
    with pytest.raises(ValueError, match=r"no value of usage is on 99\.90% of the products: lower `least`"):
        splits(kaggle, fields=["usage"], least=0.999)
    npz(packed_files / "images.npz", [b"\xff\xd8\xff"], ids=np.array([5]))
    with pytest.raises(ValueError, match=r"images\.npz has no picture of product 1000"):
        splits(packed_files)


def test_labels_by_kind_keep_samples_and_are_kept_on_disk(kaggle, tmp_path):
    read = splits(kaggle)
    by = kinds.by_kind(read)
    assert list(by) == ["type", "colour", "usage"]
    for kind, parts in by.items():
        assert set(parts["test"].kinds) == {kind} and parts["test"].ids.tolist() == read["test"].ids.tolist()
    together = np.concatenate([parts["val"].labels for parts in by.values()], axis=1)
    assert np.array_equal(together, read["val"].labels)
    read["val"].save(tmp_path)
    assert load(tmp_path, "val").kinds == read["val"].kinds
    with pytest.raises(ValueError, match="do not say of what kind"):
        kinds.by_kind({"val": by["type"]["val"].__class__("val", [1], ["a"], [[1]])})
