"""What decides features is in their identity: a change of it gives other features, never those of before.

The features of a few pictures and texts lie in `features.json`, with the version of the code that made them
and the hashes of the models' weights. Where the code comes to make others, raise `recipe.VERSION` and record
them anew; where weights have changed, record them anew:

    python tests/test_identity.py
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for `python tests/test_identity.py`
import tiny

import data_prep
from difffeat import backbones
from difffeat.features import extract, recipe
from difffeat.features.datasets import Split
from difffeat.features.recipe import Recipe

RECORDED = Path(__file__).parent / "features.json"
CAPTIONS = ["a red car by a tree", "", "two boats and a moon " * 12, "Ein Haus, ein Vogel?"]


def pictures(folder):
    """One picture of each kind that is read by a rule of its own, without lossy codecs."""
    random = np.random.default_rng(0)
    base = Image.fromarray(random.integers(0, 255, (48, 80, 3), dtype=np.uint8)).resize(
        (160, 96), Image.BICUBIC
    )
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = (np.asarray(base.convert("L")).astype(np.uint16) * 257).astype(np.uint16)
    kinds = {
        "plain.png": (base, {}),
        "turned.png": (base, {"exif": turned}),
        "clear.png": (Image.merge("RGBA", [*base.split(), base.split()[0]]), {}),
        "palette.png": (base.quantize(16), {}),
        "deep.png": (Image.fromarray(deep), {}),
        "ink.tif": (base.convert("CMYK"), {}),
        "exact.png": (base.resize((64, 64)), {}),
    }
    for name, (image, options) in kinds.items():
        image.save(folder / name, **options)
    return [folder / name for name in kinds]


def made(folder):
    """A few numbers of each kind of extraction, {case: nested lists}."""
    images = pictures(folder)
    seen = Split("test", range(len(images)), ["a"], [[1]] * len(images), images=images)
    read = Split("test", range(len(CAPTIONS)), ["a"], [[1]] * len(CAPTIONS), CAPTIONS)
    dit, plaid = backbones.load("dit-scenes"), backbones.load("plaid-scenes")
    cases = {
        "images, random": (seen, dit, dict(blocks=[0, 6, 12], timesteps=[0, 50, 300], seed=3)),
        "images, told": (seen, dit, dict(blocks=[6], timesteps=[0], noising="mean", condition=50)),
    }
    for framing in ("centre", "whole"):
        dit = backbones.load("dit-scenes")
        dit.framing = framing
        dit.name, dit.sha256 = f"dit-{framing}", dit.identity()
        cases[f"images, {framing}"] = (seen, dit, dict(blocks=[6], timesteps=[50]))
    for noising in ("mean", "random", "ddim"):
        points = dict(blocks=[0, 4, 8], timesteps=[0, 100])
        cases[f"texts, {noising}"] = (read, plaid, dict(noising=noising, pooling="real", **points))
    for pooling in ("mean", "unpadded"):
        cases[f"texts, {pooling}"] = (
            read,
            plaid,
            dict(noising="mean", pooling=pooling, blocks=[8], timesteps=[30]),
        )
    numbers = {}
    for case, (split, model, what) in cases.items():
        found = extract.features(split, model, Recipe(**what), root=folder / "cache", progress=False)
        numbers[case] = found.stack()[..., ::40].round(4).tolist()  # (points, N, a few of D)
    return numbers


def test_other_features_have_another_version(tmp_path):
    recorded = json.loads(RECORDED.read_text())
    way_out = "raise recipe.VERSION, then record the new features: python tests/test_identity.py"
    assert recorded["version"] == recipe.VERSION, way_out
    assert recorded["weights"] == weights(), "weights have changed, record: python tests/test_identity.py"
    numbers = made(tmp_path)
    assert numbers.keys() == recorded["numbers"].keys(), way_out
    differ = [case for case, expected in recorded["numbers"].items() if not alike(numbers[case], expected)]
    assert not differ, way_out


def weights():
    """The hash of the weights of each model that is read here."""
    folders = {name: backbones.weights_folder(name) for name in ("dit-scenes", "plaid-scenes")}
    return {name: json.loads((at / "card.json").read_text())["sha256"] for name, at in folders.items()}


def alike(numbers, expected):
    """Equal but for the rounding of another machine."""
    return np.allclose(numbers, expected, atol=0.01 * np.std(expected), rtol=0.01)


SAME = {"exist_ok": True}


def drawn(folder, seed):
    """Four pictures of one size in bytes and one time, whatever is in them."""
    folder.mkdir(**SAME)
    for place in range(4):
        pixels = np.random.default_rng([seed, place]).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{place}.bmp")
        os.utime(folder / f"{place}.bmp", ns=(10**18, 10**18))
    images = [folder / f"{place}.bmp" for place in range(4)]
    return Split("train", range(4), ["a"], [[1]] * 4, images=images)


@pytest.mark.parametrize("second", ["here", "elsewhere"])
def test_other_pictures_of_the_same_names_and_sizes_are_other_inputs(tmp_path, second):
    how = dict(root=tmp_path / "cache", progress=False)
    model, recipe = tiny.dit(), Recipe(blocks=[2], timesteps=[0])
    before = extract.features(drawn(tmp_path / "here", 0), model, recipe, **how).read((0, 2))
    after = extract.features(drawn(tmp_path / second, 1), model, recipe, **how).read((0, 2))
    assert np.abs(before - after).max() > 0.1
    back = extract.features(drawn(tmp_path / "third", 0), model, recipe, **how)
    np.testing.assert_array_equal(back.read((0, 2)), before)
    assert (
        len(list((tmp_path / "cache").glob("dit-tiny-*"))) == 2
    )  # and the same are the same, wherever they lie


def test_pictures_are_read_once_until_they_change(tmp_path, monkeypatch):
    split, opened = drawn(tmp_path / "here", 0), []
    real = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *how, **named: opened.append(path.name) or real(path, *how, **named)
    )
    digest = split.input_digest("image")
    assert sorted(name for name in opened if name.endswith(".bmp")) == [f"{place}.bmp" for place in range(4)]
    opened.clear()
    assert split.input_digest("image") == digest and not [name for name in opened if name.endswith(".bmp")]
    drawn(tmp_path / "here", 0)  # written again: looked at again, and found to be the same
    assert split.input_digest("image") == digest and [name for name in opened if name.endswith(".bmp")]
    notes = (Path(os.environ["DIFFFEAT_CACHE"]) / "contents").glob("sha256-*.json")
    note = max(notes, key=lambda path: path.stat().st_mtime_ns)
    for damage in (b"", b"{", b"[]", b'{"0.bmp": 3}'):
        note.write_bytes(damage)
        assert split.input_digest("image") == digest


@pytest.mark.parametrize("keep_time", [True, False])
def test_an_edited_table_of_the_same_size_and_time_gives_its_new_labels(tmp_path, keep_time):
    table = tmp_path / "own.csv"
    rows = [
        f"a caption {place},{'cat' if place % 2 else 'dog'},{part}"
        for place, part in enumerate(["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    ]
    table.write_text("\n".join(["text,tags,part", *rows]))
    columns = {"caption": "text", "labels": "tags", "part": "part"}
    settings = {"reader": "table", "folder": str(tmp_path), "files": "own.csv", "columns": columns}
    before, status = data_prep.splits(settings), table.stat()
    table.write_text(table.read_text().replace("cat", "cow"))
    if keep_time:
        os.utime(table, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert table.stat().st_size == status.st_size
    assert before["train"].names == ("cat", "dog") and data_prep.splits(settings)["train"].names == (
        "cow",
        "dog",
    )


def test_data_that_may_only_be_read_are_prepared_elsewhere(tmp_path):
    """Nothing is written beside the data."""
    folder = tmp_path / "shared"
    folder.mkdir()
    parts = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    lines = [f"a caption {place},cat,{part}" for place, part in enumerate(parts)]
    (folder / "own.csv").write_text("\n".join(["text,tags,part", *lines]))
    columns = {"caption": "text", "labels": "tags", "part": "part"}
    data_prep.splits({"reader": "table", "folder": str(folder), "files": "own.csv", "columns": columns})
    assert [path.name for path in folder.iterdir()] == ["own.csv"]


def test_all_that_decides_features_is_in_the_hash_of_a_model():
    """One model each, that differs from the first in one thing alone."""

    def other_latents(model):
        model.encoder.scale = model.encoder.scale * 1.5

    def other_tokens(model):
        words = json.loads(model.tokenizer.to_str())
        vocabulary = words["model"]["vocab"]
        vocabulary["cat"], vocabulary["dog"] = vocabulary["dog"], vocabulary["cat"]
        model.tokenizer = model.tokenizer.from_str(json.dumps(words))

    def other_weights(model):
        next(model.parameters()).data[0] += 1e-3

    def heads(model):
        model.config["heads"] = 4

    changes = {
        tiny.dit: [
            other_latents,
            other_weights,
            heads,
            lambda model: setattr(model, "framing", "whole"),
            lambda model: setattr(model, "image_side", 32),
        ],
        tiny.plaid: [other_tokens, other_weights, heads],
    }
    for make, alter in changes.items():
        assert make().identity() == make().identity()
        hashes = [make().identity(), make().run_in(backbones.PRECISIONS["bfloat16"]).identity()]
        for change in alter:
            model = make()
            change(model)
            hashes.append(model.identity())
        assert len(set(hashes)) == len(hashes)


def record(folder):
    """Write what is made now; refuse to do so where the same weights made others under this version."""
    content = {"version": recipe.VERSION, "weights": weights(), "numbers": made(folder)}
    before = json.loads(RECORDED.read_text()) if RECORDED.exists() else {"version": None}
    for case, expected in before["numbers"].items() if before["version"] == recipe.VERSION else ():
        name = "dit-scenes" if case.startswith("images") else "plaid-scenes"
        same = before["weights"][name] == content["weights"][name]
        if same and not alike(content["numbers"].get(case, np.nan), expected):
            sys.exit(f"{case}: other features than those of this version: raise recipe.VERSION first")
    RECORDED.write_text(json.dumps(content))


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        os.environ["DIFFFEAT_CACHE"] = f"{folder}/own"
        record(Path(folder))
