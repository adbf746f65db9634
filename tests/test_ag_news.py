import csv
import gzip
import io

import pytest
from layouts import reference

import data_prep

TRAIN = [
    '"3","Wall St. Bears","Short-sellers, Wall Street\'s dwindling\\band of ""ultra-cynics"""',
    '"1","Peace","Talks #39;go on#39; &lt;b&gt;today&lt;/b&gt;"',
    '"4","Bits","NA"',
    '"4","Bits","NA"',
]
TEST = ['"2","Goal","Müller scores."', '"3","",""']


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "ag_news_csv"
    root.mkdir()
    (root / "classes.txt").write_text("World\nSports\nBusiness\nSci/Tech\n")
    for part, lines in (("train", TRAIN), ("test", TEST)):
        (root / f"{part}.csv").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return root


def splits(root, **options):
    settings = {"reader": "ag_news", "folder": str(root.parent), "validation": 1, "check_counts": False}
    return data_prep.splits(settings | options)


def articles(splits):
    return {
        int(sample): (text, split.names[row.argmax()])
        for split in splits.values()
        for sample, text, row in zip(split.ids, split.captions, split.labels, strict=True)
    }


def test_texts_labels_and_ids(root):
    read = splits(root)
    assert {part: len(split) for part, split in read.items()} == {"train": 3, "val": 1, "test": 2}
    assert articles(read) == {
        0: ('Wall St. Bears Short-sellers, Wall Street\'s dwindling\\band of "ultra-cynics"', "Business"),
        1: ("Peace Talks #39;go on#39; &lt;b&gt;today&lt;/b&gt;", "World"),
        2: ("Bits NA", "Sci/Tech"),
        3: ("Bits NA", "Sci/Tech"),
        120000: ("Goal Müller scores.", "Sports"),
        120001: (" ", "Business"),
    }
    assert read["train"].labels.sum(axis=1).tolist() == [1, 1, 1] and read["train"].images == ()


def test_one_of_the_fields(root):
    assert splits(root, fields=["title"])["test"].captions[0] == "Goal"
    with pytest.raises(ValueError, match="fields are .*'text'.*; expected some of title, description"):
        splits(root, fields=["title", "text"])


def test_windows_line_ends_and_a_byte_order_mark(root):
    before = articles(splits(root))
    for path in root.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert articles(splits(root)) == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'"1","a","b"\n"5","c","d"\n', r'test\.csv, line 2: class "5", expected 1 to 4'),
        (b'"1","a","b"\n"two","c","d"\n', r'test\.csv, line 2: class "two", expected 1 to 4'),
        (
            b'"1","a","b"\n"2","c\0","d"\n',
            r"test\.csv, line 2: there is a zero byte, which utf-8 text has not",
        ),
        (b'"1","a","b"\n"2","c"\n', r"test\.csv, line 2: 2 fields, expected 3"),
        (b'"1","a","b"\n"2","c","d', r"test\.csv, line 2: not CSV, or it ends early"),
        (b'"1","a","b"\n"2","caf\xe9","d"\n', r"test\.csv, line 2: byte 0xe9 is not utf-8"),
        (b"", "'test' is empty"),
    ],
)
def test_damaged_file(root, content, message):
    (root / "test.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        splits(root)


def test_a_file_that_is_not_there(root):
    (root / "classes.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"classes\.txt does not exist; expected the files of ag_news"
    ):
        splits(root)


def test_real_articles(root):
    """The whole of test.csv as published; train.csv from a part of it in another layout."""
    folder = reference("ag_news")
    (root / "classes.txt").write_bytes((folder / "classes.txt").read_bytes())
    (root / "test.csv").write_bytes(gzip.decompress((folder / "test.csv.gz").read_bytes()))
    text = gzip.decompress((folder / "train_10000_of_120000.csv.gz").read_bytes()).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    with (root / "train.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows((int(row["gt"]) + 1, *row["text"].split(" . ", 1)) for row in rows)
    with pytest.raises(ValueError, match=r"train\.csv: 10,000 articles, 120,000 were published"):
        splits(root, check_counts=True)
    read = splits(root, validation=1000)
    assert {part: len(split) for part, split in read.items()} == {"train": 9000, "val": 1000, "test": 7600}
    assert read["test"].labels.sum(axis=0).tolist() == [1900] * 4
    assert read["test"].captions[0].startswith("Fears for T N pension after talks Unions representing")
    assert "A second\\team of rocketeers competing for the  #36;10 million" in read["test"].captions[1]
    assert [sum(row["gt"] == str(k) for row in rows) for k in range(4)] == (
        read["train"].labels.sum(axis=0) + read["val"].labels.sum(axis=0, dtype=int)
    ).tolist()
