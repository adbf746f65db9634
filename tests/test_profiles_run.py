"""Each profile of the paper's data sets, the whole way: official layouts and checkpoints, papermill, results.

Models and data are small, and most data made up; readers, loaders, notebooks and profiles are the real ones.
"""

import json
import os
import re
import subprocess
import sys

import nbformat
import numpy as np
import official
import pytest
import tiny
import yaml
from layouts import reference
from PIL import Image

from data_prep import coco_sample, vg500
from difffeat import claims, paper
from difffeat.profiles import ROOT

RANDOM = np.random.default_rng(0)
SIZES = {"train": 60, "test": 30}
IMAGES = dict(backbone="dit-xl-2-256", blocks=[1, 2], timesteps=[10, 50])
TEXTS = dict(backbone="plaid-1b", blocks=[1, 2], timesteps=[0, 30])
PAGES = {
    "10_extract_image": IMAGES,
    "11_extract_text": TEXTS,
    "20_probe_image_grid": IMAGES | dict(floor_blocks=[2], floor_timesteps=[10], epochs=3),
    "21_probe_text_grid": TEXTS | dict(floor_timesteps=[0], epochs=3),
}
FUSION = dict(
    image_blocks=[1, 2], image_timesteps=[10, 50], text_blocks=[1, 2], text_timesteps=[0, 30], d_align=8,
    channel_width=4, epochs=3,
)  # fmt: skip


def picture(path, side=64):
    """A picture of noise that is brighter for an odd number in its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(path)


def sentences(count):
    return [" ".join(RANDOM.choice(tiny.WORDS, size=5)) for _ in range(count)]


def coco(folder):
    """The real images of val2014 that are at hand, as COCO is laid out."""
    coco_sample.write(reference(""), folder)
    return {"parts": {part: part for part in ("train", "val", "test")}}


def vg500_files(folder):
    images = [f"{number}.jpg" for number in range(1, 91)]
    lists = {"train": images[:60], "test": images[60:]}
    for part, files in lists.items():
        (folder / f"{part}_list_500.txt").write_text("".join(f"{file}\n" for file in files))
    labels = {file: RANDOM.choice(12, size=3, replace=False).tolist() for file in images}
    (folder / vg500.LABELS).write_text(json.dumps(labels))
    regions = [
        {"id": number, "regions": [{"region_id": n, "phrase": said} for n, said in enumerate(sentences(4))]}
        for number in range(1, 91)
    ]
    (folder / vg500.REGIONS).write_text(json.dumps(regions))
    for file in images:
        picture(folder / "VG_100K" / file)
    (folder / "VG_100K_2").mkdir()
    return {"check_counts": False, "validation": 20}


def voc(folder):
    root, number = folder / "VOCdevkit" / "VOC2007", 0
    for inner in ("Annotations", "ImageSets/Main"):
        (root / inner).mkdir(parents=True)
    for part, count in {"trainval": 60, "test": 30}.items():
        names = [f"{number + place:06d}" for place in range(1, count + 1)]
        number += count
        (root / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            things = RANDOM.choice(["cat", "dog", "cow"], size=2)
            objects = "".join(
                f"<object><name>{thing}</name><difficult>{RANDOM.integers(2)}</difficult></object>"
                for thing in things
            )
            (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
            picture(root / "JPEGImages" / f"{name}.jpg")
    return {"check_counts": False, "validation": 20, "difficult": "ignore"}


def cifar100(folder):
    root = folder / "cifar-100-binary"
    root.mkdir()
    for part, count in SIZES.items():
        records = [bytes([n % 5, n % 7]) + RANDOM.bytes(3072) for n in range(count)]
        (root / f"{part}.bin").write_bytes(b"".join(records))
    (root / "fine_label_names.txt").write_text("".join(f"class {n}\n" for n in range(100)))
    (root / "coarse_label_names.txt").write_text("".join(f"group {n}\n" for n in range(20)))
    return {"check_counts": False, "validation": 20}


def tiny_imagenet(folder):
    root, classes = folder / "tiny-imagenet-200", ["n01", "n02", "n03"]
    for wnid in classes:
        for number in range(20):
            picture(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG")
    for number in range(30):
        picture(root / "val" / "images" / f"val_{number}.JPEG")
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in classes))
    (root / "words.txt").write_text("".join(f"{wnid}\tthing {wnid}\n" for wnid in classes))
    lines = [f"val_{n}.JPEG\t{classes[n % 3]}\t0\t0\t63\t63\n" for n in range(30)]
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return {"check_counts": False, "validation": 20}


def ag_news(folder):
    root = folder / "ag_news_csv"
    root.mkdir()
    (root / "classes.txt").write_text("World\nSports\nBusiness\nSci/Tech\n")
    for part, count in SIZES.items():
        rows = [f'"{1 + n % 4}","{title}","and more"\n' for n, title in enumerate(sentences(count))]
        (root / f"{part}.csv").write_text("".join(rows))
    return {"check_counts": False, "validation": 20}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """DiT-XL/2 and Plaid 1B as their authors lay them out, much smaller."""
    folders = {name: tmp_path_factory.mktemp(name) for name in ("dit-xl-2-256", "plaid-1b")}
    official.write_dit(folders["dit-xl-2-256"])
    official.write_plaid(tiny.plaid(width=32), folders["plaid-1b"])
    here = dict(device="cpu", precision="float32")
    return {
        "dit-xl-2-256": dict(folder=str(folders["dit-xl-2-256"]), heads=2, compiled=False, **here),
        "plaid-1b": dict(folder=str(folders["plaid-1b"]), length=8, **here),
    }


def run(name, settings, models, folder, pages, **parameters):
    """Run pages of a profile that extends this one with data and models of its own; their results."""
    profile = folder / f"{name}-small.yaml"
    reader = {"voc2007": "voc"}.get(name, name)
    content = {
        "extends": name,
        "data": {"reader": reader, "folder": str(folder), **settings},
        "models": models,
        "parameters": {"resamples": 20, "noise_seeds": [0], **parameters},
        "notebooks": {page: PAGES[page] for page in pages if page in PAGES},
    }
    profile.write_text(yaml.safe_dump(content))
    places = {"DIFFFEAT_CACHE": str(folder / "cache"), "DIFFFEAT_RESULTS": str(folder / "results")}
    for page in pages:
        source, out = ROOT / "notebooks" / f"{page}.ipynb", folder / f"{page}.ipynb"
        command = [sys.executable, "-m", "papermill", source, out, "-p", "profile", profile]
        done = subprocess.run(
            [*command, "--kernel", "python3", "--no-progress-bar"],
            env=os.environ | places, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    return claims.read_all(folder / "results" / profile.stem)


def lacking(page, folder):
    """What the landing page cites and the executed page does not have: the book would not compile."""
    intro = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    cited = set(re.findall(rf"{page}\.ipynb::(\w+)", intro))
    assert cited
    outputs = [
        out for cell in nbformat.read(folder / f"{page}.ipynb", 4).cells for out in cell.get("outputs", [])
    ]
    return cited - {
        out.metadata["scrapbook"]["name"] for out in outputs if "scrapbook" in out.get("metadata", {})
    }


def test_coco(tmp_path, models):
    pages = ["00_data", "10_extract_image", "11_extract_text", "20_probe_image_grid", "21_probe_text_grid"]
    pages += ["30_fusion", "31_search"]
    found = run("coco", coco(tmp_path), models, tmp_path, pages, samples=[60, 20, 40], **FUSION)
    assert found.keys() == set(pages)
    fused = found["30_fusion"]["fusion_addition_map"]
    assert 0 < fused.value < 1 and fused.paper == paper.best(5, "fusion") and fused.status == "differs"
    assert found["00_data"]["string_match_map"].value > 0.9  # real captions, and their labels appended
    assert all(page.run["seconds"] > 0 and page.run["peak_gb"] > 0.1 for page in found.values())


def test_vg500(tmp_path, models):
    pages = ["21_probe_text_grid", "20_probe_image_grid", "30_fusion"]
    found = run("vg500", vg500_files(tmp_path), models, tmp_path, pages, **FUSION)
    assert found["21_probe_text_grid"]["text_best_score"].paper == paper.best(6, "text")
    assert found["30_fusion"]["fusion_beats_text"].paper.dataset == "VG500"


def test_voc2007_with_difficult_objects_left_out(tmp_path, models):
    found = run("voc2007", voc(tmp_path), models, tmp_path, ["20_probe_image_grid"])
    best = found["20_probe_image_grid"]["image_best_score"]
    assert 0 < best.value < 1 and best.metric == "mAP" and best.status.startswith("not run")


@pytest.mark.parametrize(("name", "write"), [("cifar100", cifar100), ("tiny_imagenet", tiny_imagenet)])
def test_images_of_one_class(name, write, tmp_path, models):
    page = run(name, write(tmp_path), models, tmp_path, ["20_probe_image_grid"])["20_probe_image_grid"]
    best = page["image_best_score"]
    assert best.metric == "top-1 accuracy" and 0 <= best.value <= 1 and best.paper is None
    assert "accuracy" in page["image_unimodal_in_block"].what
    assert not lacking("20_probe_image_grid", tmp_path)


def test_ag_news(tmp_path, models):
    page = run("ag_news", ag_news(tmp_path), models, tmp_path, ["21_probe_text_grid"])["21_probe_text_grid"]
    best = page["text_best_score"]
    assert best.paper.value == pytest.approx(0.8792) and best.paper.source.startswith("Table 7")
    assert best.value == page["text_original_score"].value  # no topic is written into a text
    assert page["text_deterministic_beats_random"].paper.value is None  # Table 4 is of mAP
    assert page["text_random_score"].paper is None
    assert not lacking("21_probe_text_grid", tmp_path)
