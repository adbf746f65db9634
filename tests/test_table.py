import sys

import numpy as np
import pytest
from PIL import Image

import data_prep
from difffeat import profiles

COLUMNS = {"image": "file", "caption": "text", "labels": "tags", "part": "of"}
HEADER = "file,text,tags,of,note"
ROWS = [
    "a.png,A robin.,bird|tree,train,x",
    'b.png,"Two, ""quoted""\nlines",tree,train,x',
    "c.png,NA,,train,x",
    "d.png,Ein Bär,bear | bird |,test,x",
]


@pytest.fixture
def folder(tmp_path):
    for shade, name in enumerate("abcd"):
        Image.new("RGB", (6, 4), (shade, 0, 0)).save(tmp_path / f"{name}.png")
    write(tmp_path, [HEADER, *ROWS])
    return tmp_path


def write(folder, lines, name="birds.csv"):
    (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")


def splits(folder, **options):
    settings = {"reader": "table", "folder": str(folder), "files": "birds.csv", "columns": COLUMNS}
    return data_prep.splits(settings | {"validation": 1} | options)


def samples(splits):
    """id -> (caption, labels, image name) over all parts."""
    return {
        int(sample): (
            split.captions[row],
            [split.names[column] for column in np.flatnonzero(split.labels[row])],
            split.images[row].name,
        )
        for split in splits.values()
        for row, sample in enumerate(split.ids)
    }


EXPECTED = {
    0: ("A robin.", ["bird", "tree"], "a.png"),
    1: ('Two, "quoted"\nlines', ["tree"], "b.png"),
    2: ("NA", [], "c.png"),
    3: ("Ein Bär", ["bear", "bird"], "d.png"),
}


def test_one_file_with_a_column_for_the_part(folder):
    read = splits(folder, dataset="birds")
    assert {part: len(split) for part, split in read.items()} == {"train": 2, "val": 1, "test": 1}
    assert samples(read) == EXPECTED
    assert read["val"].names == ("bear", "bird", "tree") and read["val"].dataset == "birds"
    assert read["test"].image(0).getpixel((0, 0)) == (3, 0, 0)


def test_a_val_part_of_its_own(folder):
    write(folder, [HEADER, *ROWS[:2], ROWS[2].replace("train", "val"), ROWS[3]])
    read = splits(folder)
    assert read["val"].ids.tolist() == [2] and read["train"].ids.tolist() == [0, 1]


def test_a_file_for_each_part_with_ids(folder):
    write(folder, ["n,text,tags", "30,thirty,bird", "10,ten,tree", "20,twenty,"], "one.csv")
    write(folder, ["tags,text,n", "bear,forty,40"], "two.csv")
    columns = {"caption": "text", "labels": "tags", "id": "n"}
    read = splits(folder, files={"train": "one.csv", "test": "two.csv"}, columns=columns)
    assert sorted([*read["train"].ids, *read["val"].ids]) == [10, 20, 30]
    assert read["test"].ids.tolist() == [40] and read["test"].captions == ("forty",)
    assert read["test"].images == () and read["test"].names == ("bear", "bird", "tree")


def test_images_alone_and_names_given(folder):
    columns = {"image": "file", "labels": "tags", "part": "of"}
    read = splits(folder, columns=columns, names=["tree", "bird", "bear", "fox"])
    assert read["test"].captions == () and read["test"].labels.tolist() == [[0, 1, 1, 0]]


def needing(folder, *needs, columns=("image", "labels", "part"), **sizes):
    """Splits for a page that needs these things of the data."""
    settings = {"reader": "table", "folder": str(folder), "files": "birds.csv", "validation": 1}
    settings["columns"] = {role: COLUMNS[role] for role in columns}
    return data_prep.splits(profiles.Data(settings, "21_page", needs, sizes))


def test_a_page_is_told_what_the_data_lack(folder):
    assert needing(folder, "images", train=2)["test"].images
    for needs, lacking in (
        (["captions"], "captions"),
        (["images", "captions", "scenes"], "captions and scenes"),
    ):
        with pytest.raises(ValueError, match=f"21_page needs {lacking}, which data set table .reader table"):
            needing(folder, *needs)
    with pytest.raises(ValueError, match="21_page needs images"):
        needing(folder, "images", columns=("caption", "labels", "part"))
    with pytest.raises(ValueError, match="21_page needs one class, which data set"):
        needing(folder, "images", "one class")  # the table may have one label a row: only its rows tell
    with pytest.raises(
        ValueError, match="21_page takes 3 samples of train, data set table .* has 2: set its"
    ):
        needing(folder, train=3)
    write(
        folder,
        [
            HEADER,
            *(row.replace("bird|tree", "tree") for row in ROWS[:2]),
            "c.png,NA,tree,train,x",
            "d.png,x,bird,test,x",
        ],
    )
    assert needing(folder, "one class")


def test_other_separators_and_encodings(folder):
    text = "\n".join([HEADER, *ROWS]).replace(",", "\t").replace("|", ";").replace("Two\t", "Two,")
    (folder / "birds.tsv").write_bytes(text.encode("latin-1").replace(b"\n", b"\r\n"))
    options = {"files": "birds.tsv", "delimiter": "\t", "separator": ";"}
    read = samples(splits(folder, **options, encoding="latin-1"))
    assert read[3] == EXPECTED[3] and read[0] == EXPECTED[0]
    with pytest.raises(
        ValueError, match=r"birds\.tsv, line 6: byte 0xe4 is not utf-8; convert .*or name its"
    ):
        splits(folder, **options)


def test_windows_line_ends_and_a_byte_order_mark(folder):
    path = folder / "birds.csv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"train,x\n", b"train,x\r\n"))
    assert samples(splits(folder)) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-8-sig"])
def test_an_encoding_is_read_as_named(folder, encoding):
    (folder / "birds.csv").write_bytes((folder / "birds.csv").read_text("utf-8").encode(encoding))
    assert samples(splits(folder, encoding=encoding)) == EXPECTED


def test_a_byte_order_mark_says_the_encoding(folder):
    (folder / "birds.csv").write_bytes((folder / "birds.csv").read_text("utf-8").encode("utf-16"))
    assert samples(splits(folder)) == EXPECTED


@pytest.mark.parametrize(
    ("written", "options", "message"),
    [
        ("utf-16-le", {}, r"line 1: there is a zero byte.*name its encoding, as in `encoding: utf-16`"),
        ("cp1252", {}, r"line 6: byte 0xe4 is not utf-8; .*as in `encoding: cp1252`"),
        (
            "utf-8",
            {"encoding": "cp1252"},
            "is utf-8, the setting `encoding` says cp1252: leave the setting out",
        ),
        (
            "utf-8",
            {"encoding": "utf-17"},
            "the setting `encoding` is 'utf-17'; expected one as in utf-8, utf-16",
        ),
        ("utf-8", {"encoding": "hex"}, "the setting `encoding` is 'hex'; expected one as in utf-8"),
        ("utf-8", {"delimiter": ";"}, r"no column 'file'.*; is it `delimiter: \",\"`\?"),
        ("utf-8", {"delimiter": ";;"}, 'the setting `delimiter` is ";;"; expected one character'),
        ("utf-8", {"separator": ""}, 'the setting `separator` is ""; expected text'),
        (
            "utf-8",
            {"separator": ";"},
            r'line 6: .*"bear \| bird \|" looks like several: .* is ";", is it "\|" in',
        ),
        ("utf-8", {"names": "bird"}, 'the setting `names` is "bird"; expected a list of label names'),
        ("utf-8", {"validation": "1"}, 'cannot hold out "1" of 3 training samples'),
    ],
)
def test_an_encoding_or_a_separator_other_than_the_setting_is_named(folder, written, options, message):
    text = (folder / "birds.csv").read_text("utf-8")
    (folder / "birds.csv").write_bytes(text.encode(written))
    with pytest.raises(ValueError, match=message):
        splits(folder, **options)


@pytest.mark.parametrize(
    "cell", ["['bird', 'tree']", '[""bird"", ""tree""]', "('bird', 'tree')", "[]", "{bird}"]
)
def test_labels_written_as_a_list_are_refused(folder, cell):
    write(folder, [HEADER, *ROWS[1:], f'a.png,A robin.,"{cell}",train,x'])
    with pytest.raises(
        ValueError, match=r"line 6: labels is .*, a list as Python or JSON writes it; expected"
    ):
        splits(folder)


@pytest.mark.parametrize("names", [["hot dog", "dog", "bird"], ["Sci/Tech", "Sports"], ["a b", "c, d", "e"]])
def test_labels_of_several_words_are_labels(folder, names):
    write(
        folder, ["file,text,tags,of", *(f'{x}.png,t,"{y}",train' for x, y in zip("abc", names, strict=False))]
    )
    write(folder, [*(folder / "birds.csv").read_text().splitlines(), f'd.png,t,"{names[0]}",test'])
    assert splits(folder)["test"].names == tuple(sorted(names))


def test_a_row_for_each_label_is_refused(folder):
    write(folder, [HEADER, *ROWS, "a.png,A robin.,bear,train,x"])
    with pytest.raises(
        ValueError, match=r'line 7: image is "a\.png", as at .*line 2; expected one row for each'
    ):
        splits(folder)
    columns = {"caption": "text", "labels": "tags", "part": "of"}
    with pytest.raises(
        ValueError, match=r'line 7: caption is "A robin\.", as at .*; .* name a column for `id`'
    ):
        splits(folder, columns=columns)
    write(folder, [HEADER, *ROWS, "a.png,A robin.,bird|tree,train,x"])
    assert len(splits(folder, columns=columns)["train"]) == 3


def test_an_image_in_two_parts_is_refused(folder):
    write(folder, [HEADER, *ROWS, "./sub/../A.PNG,A wren.,bird,test,x"])
    with pytest.raises(
        ValueError, match=r"image .*/a\.png is in both (train|val) and test .samples 0 and 4.: list"
    ):
        splits(folder)


def test_files_of_parts_are_numbered_through(folder):
    write(folder, ["text,tags", "one,bird", "two,tree"], "one.csv")
    write(folder, ["text,tags", "three,bird", "four,tree"], "two.csv")
    columns = {"caption": "text", "labels": "tags"}
    read = splits(folder, files={"test": "two.csv", "train": "one.csv"}, columns=columns)
    assert read["test"].ids.tolist() == [2, 3]


def test_changed_table_is_read_again(folder):
    splits(folder)
    write(folder, [HEADER, *[row.replace("robin", "wren") for row in ROWS]])
    assert samples(splits(folder))[0][0] == "A wren."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("e.png,Five,bird,train", r"birds\.csv, line 7: 4 fields, expected 5"),
        ("e.png,Five,bird,dev,x", r'birds\.csv, line 7: part "dev" is unknown; known: train, val, test'),
        (" ,Five,bird,train,x", r'birds\.csv, line 7: image is " "; expected text'),
        ("e.png,Five,fox,train,x", r'birds\.csv, line 7: label "fox" is unknown; known: bear, bird, tree'),
        ('e.png,"Five,bird,train,x', r"birds\.csv, line 7: not CSV, or it ends early"),
    ],
)
def test_damaged_rows(folder, line, message):
    write(folder, [HEADER, *ROWS, line])
    with pytest.raises(ValueError, match=message):
        splits(folder, names=["bear", "bird", "tree"])


def test_ids_that_are_no_integers_or_come_twice(folder):
    columns = {"caption": "text", "labels": "tags", "part": "of", "id": "n"}
    for wrong in ("1.5", "one", "", "9" * 19):
        write(folder, ["n,text,tags,of", f"{wrong},a,bird,train"])
        with pytest.raises(ValueError, match=rf'line 2: id is "{wrong}"; expected an integer of 64 bits'):
            splits(folder, columns=columns)
    write(folder, ["n,text,tags,of", "7,a,bird,train", "7,b,bird,train", "8,c,bird,test"])
    with pytest.raises(ValueError, match="'train' has 1 ids more than once: 7"):
        splits(folder, columns=columns)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"columns": COLUMNS | {"labels": "classes"}},
            "no column 'classes'; its columns: file, text, tags, of",
        ),
        ({"columns": {"labels": "tags", "part": "of"}}, "must name labels, and image or caption or both"),
        (
            {"columns": COLUMNS | {"label": "tags"}},
            "names the roles label; known: image, caption, labels, id",
        ),
        ({"columns": {"image": "file", "labels": "tags"}}, "one file and a column for the role part, or one"),
        (
            {"files": {"train": "birds.csv", "test": "birds.csv"}},
            "one file and a column for the role part, or",
        ),
        ({"validation": 3}, "cannot hold out 3 of 3 training samples"),
    ],
)
def test_wrong_settings(folder, options, message):
    with pytest.raises(ValueError, match=message):
        splits(folder, **options)


def test_parts_must_be_train_and_test(folder):
    columns = {"image": "file", "labels": "tags"}
    with pytest.raises(ValueError, match="must name train and test, and may name val; got train, dev"):
        splits(folder, files={"train": "birds.csv", "dev": "birds.csv"}, columns=columns)


def test_empty_tables_and_files_that_are_not_there(folder):
    write(folder, [HEADER, *ROWS[:3]])
    with pytest.raises(ValueError, match="'test' is empty"):
        splits(folder)
    (folder / "birds.csv").write_bytes(b"")
    with pytest.raises(ValueError, match="no column 'file', .*; its columns: none"):
        splits(folder)
    write(folder, [HEADER + ",file", *(row + ",y" for row in ROWS)])
    with pytest.raises(ValueError, match="the column 'file' more than once"):
        splits(folder)
    with pytest.raises(
        FileNotFoundError, match=r"none\.csv does not exist; expected a table, as the setting"
    ):
        splits(folder, files="none.csv")
    write(folder, [HEADER, *ROWS])
    (folder / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 images are not on disk: .*b\.png"):
        splits(folder)


def parquet(folder, **columns):
    """The rows of the CSV file as Parquet, two to a row group, with some columns replaced."""
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra `parquet`")
    from pyarrow.parquet import write_table

    whole = {
        "file": ["a.png", "b.png", "c.png", "d.png"],
        "text": ["A robin.", 'Two, "quoted"\nlines', "NA", "Ein Bär"],
        "tags": ["bird|tree", "tree", None, "bear | bird |"],
        "of": ["train", "train", "train", "test"],
        "n": [0, 1, 2, 3],
    }
    write_table(pyarrow.table(whole | columns), folder / "birds.parquet", row_group_size=2)


def test_parquet_is_read_as_the_same_table(folder):
    parquet(folder)
    assert samples(splits(folder, files="birds.parquet")) == EXPECTED
    parquet(folder, tags=[["bird", "tree"], ["tree"], [], ["bear", "bird"]])
    assert samples(splits(folder, files="birds.parquet", columns=COLUMNS | {"id": "n"})) == EXPECTED


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": ["a", "b", None, "d"]}, r"birds\.parquet, row 2: caption is null; expected text"),
        ({"tags": [1, 2, 3, 4]}, r"birds\.parquet, row 0: labels is 1; expected a list, each text"),
        ({"n": [0.0, 1.0, 2.0, 3.5]}, r"birds\.parquet, row 0: id is 0\.0; expected an integer"),
        ({"of": ["train", "train", "train", "dev"]}, r'birds\.parquet, row 3: part "dev" is unknown'),
        ({"n": [0, 1, 1, 3]}, "'train' has 1 ids more than once: 1"),
    ],
)
def test_damaged_rows_of_parquet(folder, change, message):
    parquet(folder, **change)
    with pytest.raises(ValueError, match=message):
        splits(folder, files="birds.parquet", columns=COLUMNS | {"id": "n"})


def test_damaged_parquet(folder):
    parquet(folder)
    path = folder / "birds.parquet"
    with pytest.raises(ValueError, match="no column 'picture'; its columns: file, text, tags, of, n"):
        splits(folder, files=path.name, columns=COLUMNS | {"image": "picture"})
    for content in (path.read_bytes()[:-20], b"", b"file,text\n"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"birds\.parquet is not Parquet, or ends early"):
            splits(folder, files=path.name)


def test_parquet_without_pyarrow_says_what_to_install(folder, monkeypatch):
    (folder / "birds.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"needs pyarrow: pip install 'difffeat\[parquet\]', or write"
    ):
        splits(folder, files="birds.parquet")
