"""Every profile that is shipped or printed, the whole way: each page that it runs, and the book from them.

Models and data are small and made up, and a page runs in a process that has run others (`run_pages.py`);
readers, loaders, notebooks and profiles are the real ones.
"""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from types import SimpleNamespace

import nbformat
import numpy as np
import official
import pytest
import tiny
import yaml
from PIL import Image

import data_prep
from data_prep.readers import cifar10, vg500
from data_prep.readers.coco_lists import CAPTIONS
from data_prep.training.shared import write_weights
from difffeat import extractions, pages, profiles
from difffeat.backbones import shipped
from difffeat.evidence import results
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.features import cache
from difffeat.profiles import ROOT

RANDOM = np.random.default_rng(0)
SIZES = {"train": 60, "test": 30}
PAGES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
RECORDED = [path.stem for path in sorted((ROOT / "notebooks" / "recorded").glob("*.ipynb"))]
# Recorded pages that sum up those of profiles, and these profiles: they run after the pages of the first.
SUMS = {
    page: profiles.declared(page)["profiles"] for page in RECORDED if "profiles" in profiles.declared(page)
}
PROCESSES = 2
# Values that make a page small, where it declares the name and gives it a value.
FEW = dict(steps=20, epochs=3, pair_steps=20, lengths=[10, 20], trained_on=[20], decays=[0.01], resamples=20)
FEW |= dict(sampled=2, kinds_steps=20, widths=[4, 8], head_seeds=[0, 1], cnn_epochs=1)
FEW |= dict(noise_seeds=[0], d_align=8, channel_width=4, batch_size=32, repeats=100)
FEW |= dict(apart=["ddim-1", "ddim-5"], length_quantiles=[0.5], length_beyond=[1.0, 1.6])
FEW |= dict(apart_samples=5, kinds_samples=[30, 20], image_kinds_samples=[30, 20], kinds_timesteps=[10])
FEW |= dict(pixel_steps=20, head_steps=20, projection_steps=20, labelled=6, label_seeds=[0, 1], members=1)
FEW |= dict(categories=[], sets=[], least=4, tsne_seeds=[0], tsne_steps=250)  # of labels that are made up
SHIPPED = sorted(set(profiles.known()) - {"scenes", "coco-lists"})  # `make book` and `make record` run these
UNETS = ("sd-1.5", "sdxl-1.0")
OF_REAL_DATA = ("dit-cifar", *shipped.TO_TRAIN)
NEEDS_REFERENCE = {"coco-smoke"}  # reads real images, which are not shipped
PICTURES = {"data": {"reader": "coco", "captions": False}, "parameters": {"samples": [0, 0, 0]}}


def printed():
    """{name: content} of every profile that the README or a page of the book prints."""
    found = {}
    for path in [ROOT / "README.md", *sorted((ROOT / "book").glob("*.md"))]:
        blocks = re.findall(
            r"^```yaml\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
        for number, block in enumerate(blocks, start=1):
            named = re.match(r"# notebooks/profiles/([\w-]+)\.yaml\n", block)
            found[named[1] if named else f"{path.stem}-{number}"] = yaml.safe_load(block)
    return found


PRINTED = printed()
NO_PICTURES = "21_probe_text_grid"  # a page that needs more than images
NAMES = [*SHIPPED, *PRINTED, "pictures"]


def picture(path, side=64):
    """A picture of noise that is brighter for an odd number in its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, 255, (side, side, 3), dtype=np.uint8)).save(path)


def sentences(count, words=tiny.WORDS):
    return [" ".join(RANDOM.choice(words, size=5)) for _ in range(count)]


def coco(folder, settings):
    """COCO's layout, the first label named in the caption."""
    parts = settings.get("parts") or {"train": "train2014", "test": "val2014"}
    names, number = ["cat", "dog", "cow", "bird"], 0
    (folder / "annotations").mkdir()
    for part, stem in parts.items():
        images, captions, instances = [], [], []
        for _ in range(SIZES[part]):
            number += 1
            labels = RANDOM.choice(4, size=RANDOM.integers(1, 3), replace=False)
            images.append({"id": number, "file_name": f"{number:06d}.jpg"})
            picture(folder / stem / images[-1]["file_name"])
            said = f"a {names[labels[0]]} {sentences(1, tiny.WORDS[3:])[0]}"  # names no other label
            captions.append({"id": number, "image_id": number, "caption": said})
            instances += [
                {"id": 10 * number + k, "image_id": number, "category_id": 1 + 2 * int(label)}
                for k, label in enumerate(labels)
            ]
        categories = [{"id": 1 + 2 * place, "name": name} for place, name in enumerate(names)]
        content = {"images": images, "annotations": instances, "categories": categories}
        (folder / "annotations" / f"instances_{stem}.json").write_text(json.dumps(content))
        if settings.get("captions", True):
            content = {"images": images, "annotations": captions}
            (folder / "annotations" / f"captions_{stem}.json").write_text(json.dumps(content))
    return {"validation": 20, "check_counts": False}


def table(folder, settings):
    """A CSV file with the columns that the settings name."""
    columns = settings["columns"]
    with (folder / settings["files"]).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(columns.values()))
        writer.writeheader()
        for number in range(sum(SIZES.values())):
            picture(folder / f"{number}.png")
            row = {
                "image": f"{number}.png",
                "caption": sentences(1)[0],
                "labels": "|".join(RANDOM.choice(tiny.NAMES, size=2, replace=False)),
                "part": "train" if number < SIZES["train"] else "test",
            }
            writer.writerow({column: row[role] for role, column in columns.items()})
    return {"validation": 20}


def vg500_files(folder, _):
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


def voc(folder, _):
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


def cifar100(folder, _):
    root = folder / "cifar-100-binary"
    root.mkdir()
    for part, count in SIZES.items():
        records = [bytes([n % 5, n % 7]) + RANDOM.bytes(3072) for n in range(count)]
        (root / f"{part}.bin").write_bytes(b"".join(records))
    (root / "fine_label_names.txt").write_text("".join(f"class {n}\n" for n in range(100)))
    (root / "coarse_label_names.txt").write_text("".join(f"group {n}\n" for n in range(20)))
    return {"check_counts": False, "validation": 20}


def tiny_imagenet(folder, _):
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


def ag_news(folder, _):
    root = folder / "ag_news_csv"
    root.mkdir()
    (root / "classes.txt").write_text("World\nSports\nBusiness\nSci/Tech\n")
    for part, count in SIZES.items():
        rows = [f'"{1 + n % 4}","{title}","and more"\n' for n, title in enumerate(sentences(count))]
        (root / f"{part}.csv").write_text("".join(rows))
    return {"check_counts": False, "validation": 20}


def cifar10_files(folder, _):
    root = folder / "cifar-10-batches-bin"
    root.mkdir()
    for part, files in cifar10.FILES.items():
        for name in files:
            records = [bytes([n % 10]) + RANDOM.bytes(3072) for n in range(SIZES[part] // len(files))]
            (root / name).write_bytes(b"".join(records))
    (root / "batches.meta.txt").write_text("".join(f"{name}\n" for name in cifar10.NAMES))
    return {"check_counts": False, "validation": 20}


def fashion(folder, _):
    """Enough products that a tenth of them make a test part."""
    header = (
        "id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,productDisplayName"
    )
    lines = [header]
    for number in range(4 * SIZES["train"]):
        picture(folder / "images" / f"{number}.jpg")
        kind, colour, usage = ("cat", "dog")[number % 2], ("cow", "red")[number // 2 % 2], "Casual"
        lines.append(f"{number},Men,A,B,{kind},{colour},Fall,2011,{usage},{kind} {sentences(1)[0]}")
    (folder / "styles.csv").write_text("\n".join(lines) + "\n")
    return {"validation": 40}


def coco_lists(folder, _):
    """The lists of COCO's labels and captions; the first label is named in the caption."""
    names = ["cat", "dog", "cow"]
    (folder / "categories.txt").write_text("".join(f"{name}\n" for name in names))
    labels, captions = [], []
    for number in range(sum(SIZES.values())):
        held = sorted(RANDOM.choice(3, size=RANDOM.integers(1, 3), replace=False).tolist())
        labels.append(f"{number}\t{' '.join(map(str, held))}\n")
        captions.append(f"{number}\ta {names[held[0]]} {sentences(1, tiny.WORDS[3:])[0]}\n")
    for name, rows in (("val2014_labels", labels), ("train2014_labels", labels)):
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress("".join(rows).encode()))
    (folder / CAPTIONS).write_bytes(gzip.compress("".join(captions).encode()))
    return {"validation": 20, "test": SIZES["test"]}


def label_map(path, classes, kind=np.uint8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RANDOM.integers(0, classes, (8, 8)).repeat(8, 0).repeat(8, 1).astype(kind)).save(path)


def weizmann_horses(folder, _):
    for number in range(1, sum(SIZES.values()) + 1):
        picture(folder / "rgb" / f"horse{number:03d}.jpg")
        label_map(folder / "mask" / f"horse{number:03d}.png", 2, bool)
    return {"validation": 20, "test": SIZES["test"]}


def camvid_files(folder, _):
    for part, count in (SIZES | {"val": 20}).items():
        for number in range(count):
            picture(folder / "CamVid" / part / f"{part}_{number:03d}.png")
            label_map(folder / "CamVid" / f"{part}annot" / f"{part}_{number:03d}.png", 12)
    return {"check_counts": False}


def coco_people(folder, _):
    """One person in the middle of every photo, with two keypoints."""
    (folder / "annotations").mkdir()
    category = {"id": 1, "name": "person", "keypoints": ["nose", "knee"], "skeleton": []}
    number = 0
    for part, count in {"train2017": SIZES["train"], "val2017": SIZES["test"]}.items():
        images, people = [], []
        for _ in range(count):
            number += 1
            images.append({"id": number, "file_name": f"{number:012d}.jpg", "width": 64, "height": 64})
            picture(folder / part / images[-1]["file_name"])
            points = [value for place in RANDOM.integers(12, 50, (2, 2)).tolist() for value in [*place, 2]]
            one = dict(id=number, image_id=number, category_id=1, bbox=[12, 12, 40, 40], keypoints=points)
            people.append(one)
        content = {"images": images, "annotations": people, "categories": [category]}
        (folder / "annotations" / f"person_keypoints_{part}.json").write_text(json.dumps(content))
    return {"validation": 20}


def scenes(*_):
    """Few; they are drawn when they are first read."""
    return {"counts": SIZES | {"val": 20}}


WRITERS = {
    "coco": coco, "table": table, "vg500": vg500_files, "voc": voc, "cifar100": cifar100,
    "tiny_imagenet": tiny_imagenet, "ag_news": ag_news, "cifar10": cifar10_files, "fashion": fashion,
    "coco_captions": coco_lists, "weizmann_horses": weizmann_horses, "camvid": camvid_files,
    "coco_people": coco_people, "scenes": scenes,
}  # fmt: skip


def models(folder):
    """DiT-XL/2 and Plaid 1B as their authors lay them out, much smaller."""
    folders = {name: folder / name for name in ("dit-xl-2-256", "plaid-1b")}
    for path in folders.values():
        path.mkdir()
    official.write_dit(folders["dit-xl-2-256"])
    official.write_plaid(tiny.plaid(width=32), folders["plaid-1b"])
    here = dict(device="cpu", precision="float32")
    for name in UNETS:
        official.write_stable_diffusion(folder / name, name)
    return {
        "dit-xl-2-256": dict(folder=str(folders["dit-xl-2-256"]), heads=2, compiled=False, **here),
        "plaid-1b": dict(folder=str(folders["plaid-1b"]), length=8, **here),
        **{name: dict(folder=str(folder / name), **here) for name in UNETS},
        **{name: dict(folder=str(trained_here(name, folder / name))) for name in OF_REAL_DATA},
    }


def trained_here(name, folder):
    """A small model as the training commands of this project leave one."""
    model = tiny.plaid(length=8) if name.startswith("plaid") else tiny.dit()
    write_weights(folder, model.state_dict(), config=model.config, card={"model": name})
    if name.startswith("plaid"):
        (folder / "tokenizer.json").write_text(model.tokenizer.to_str())
    else:
        model.encoder.save(folder / "latents.safetensors")
    (folder / "log.csv").write_text("step,samples,loss,validation_loss\n1,8,2,3\n2,16,1,2\n")
    return folder


def small(profile, page):
    """What a page takes in place of what it would: two points of the small models, few steps."""
    taken, values = profiles.planned(profile, page), {}
    if not any(name.endswith("backbone") for name in taken):
        return values  # it loads no model, and is small as it is
    for name, value in taken.items():
        if name in FEW and value is not None:
            values[name] = FEW[name]
        elif name.endswith("blocks") and "image_places" not in profile.parameters:
            values[name] = [1, 2]
        elif name.endswith("timesteps"):
            values[name] = value[:2]
        elif name.endswith("backbone"):  # models of random weights at full size are too large here
            values[name] = value.removesuffix("-random")
    return values


def written(name, folder):
    """What `extends` names a profile by: a shipped one by name, any other by the path of its file."""
    if name in SHIPPED:
        return name
    content = PICTURES if name == "pictures" else PRINTED[name]
    if content.get("extends") in PRINTED:
        content = content | {"extends": written(content["extends"], folder)}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def prepare(name, folder, small_models):
    """Data, and a profile that extends this one with them and small models: (its path, the pages it runs)."""
    data = folder / name
    data.mkdir()
    base = written(name, folder)
    settings = profiles.load(base).data
    if settings["reader"] in WRITERS:
        settings |= {"folder": str(data)} | WRITERS[settings["reader"]](data, settings)
    content = {"extends": base, "data": settings, "models": small_models}
    path = folder / f"{name}-small.yaml"
    path.write_text(yaml.safe_dump(content))
    profile = profiles.load(path)
    ran = pages.runs(profile, PAGES, data_prep.gives(profile.data))
    ran += [page for page, summed in SUMS.items() if summed[0] == name]
    notebooks = {page: values for page in ran if (values := small(profile, page))}
    if settings["reader"] in WRITERS:  # all that there is of them
        every = {page: {"samples": [0, 0, 0]} for page in ran if "samples" in profiles.planned(profile, page)}
        notebooks = {page: notebooks.get(page, {}) | every.get(page, {}) for page in ran}
    path.write_text(yaml.safe_dump(content | {"notebooks": notebooks}))
    return path, ran


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Every page of every profile: by profile its `pages`, `results`, folder `executed` and what `failed`."""
    folder = tmp_path_factory.mktemp("profiles")
    small_models, queues, found = models(folder), [[] for _ in range(PROCESSES)], {}
    for name in NAMES:
        if name in NEEDS_REFERENCE and "DIFFFEAT_REFERENCE" not in os.environ:
            continue
        path, pages = prepare(name, folder, small_models)
        executed = folder / "executed" / path.stem
        jobs = [[str(source(page)), str(path), str(executed / f"{page}.ipynb")] for page in pages]
        min(queues, key=len).extend(jobs)
        found[name] = SimpleNamespace(pages=pages, executed=executed, stored=folder / "results" / path.stem)
        found[name].cache = folder / "cache" / path.stem
        if name == "pictures":  # and one that it does not run, started by itself
            refused = folder / f"{NO_PICTURES}.ipynb"
            queues[0].append([str(ROOT / "notebooks" / refused.name), str(path), str(refused)])
            found[name].refused = refused.with_suffix(".txt")
    run_all(queues, folder)
    for run in found.values():
        run.results = results.read_all(run.stored)
        run.failed = [path.read_text() for path in sorted(run.executed.glob("*.txt"))]
    return found


def source(page):
    """The notebook of a page, recorded or not."""
    return ROOT / "notebooks" / ("recorded" if page in SUMS else "") / f"{page}.ipynb"


def run_all(queues, folder):
    """Run the jobs of each queue in a process of its own."""
    places = {"DIFFFEAT_CACHE": str(folder / "cache"), "DIFFFEAT_RESULTS": str(folder / "results")}
    running = []
    for number, jobs in enumerate(queues):
        listed = folder / f"jobs-{number}.json"
        listed.write_text(json.dumps(jobs))
        command = [sys.executable, ROOT / "tests" / "run_pages.py", listed]
        running.append(subprocess.Popen(command, env=os.environ | places, cwd=ROOT))
    assert [process.wait() for process in running] == [0] * len(queues)


def test_the_documentation_prints_profiles():
    assert {"birds", "birds-xl"} <= PRINTED.keys() and len(PRINTED) >= 4
    assert not [name for name, content in PRINTED.items() if not isinstance(content, dict)]


@pytest.mark.parametrize("name", NAMES)
def test_every_page_of_a_profile_runs(name, ran):
    if name not in ran:
        pytest.skip("DIFFFEAT_REFERENCE is not set: the folder that holds the real images")
    run = ran[name]
    assert not run.failed, "\n\n".join(run.failed)
    assert run.results.keys() == set(run.pages)
    assert set(run.pages) & SUMS.keys() == {page for page, summed in SUMS.items() if summed[0] == name}
    assert all(page.run["seconds"] > 0 and page.run["peak_gb"] > 0.1 for page in run.results.values())
    for page in run.pages:
        assert not lacking(page, run.executed)


def lacking(page, folder):
    """What the landing page cites and the executed page does not have: the book would not compile."""
    intro = (ROOT / "book" / "intro.md").read_text(encoding="utf-8")
    cited = set(re.findall(rf"{page}\.ipynb::(\w+)", intro))
    outputs = [
        out for cell in nbformat.read(folder / f"{page}.ipynb", 4).cells for out in cell.get("outputs", [])
    ]
    return cited - {
        out.metadata["scrapbook"]["name"] for out in outputs if "scrapbook" in out.get("metadata", {})
    }


def test_coco_runs_all_that_the_paper_reports(ran):
    run = ran["coco"]
    assert {"00_data", "30_fusion", "31_search", "40_cost", "90_claims"} <= run.results.keys()
    fused = run.results["30_fusion"]["fusion_addition_score"]
    assert 0 < fused.value < 1 and fused.paper == paper.best(5, "fusion") and fused.status == "differs"
    assert run.results["00_data"]["string_match_score"].value > 0.9  # the labels are appended to the captions
    assert (
        run.results["40_cost"].parameters["image_blocks"] == profiles.load("coco").parameters["image_blocks"]
    )
    assert run.results["90_claims"]["claims_not_run"].value < len(CLAIMS)


def extracted(folder):
    """Passes of each model behind the features in a cache, and those of text of a single block: lengths."""
    passes, of_lengths = defaultdict(int), 0
    for path in folder.glob("features/*/*/*.h5"):
        held = cache.attributes(path)["provenance"]
        count = held["samples"] * len(held["timesteps"])
        if len(held["blocks"]) == 1 and "plaid" in held["backbone"]:
            of_lengths += count
        else:
            passes[held["backbone"].removesuffix("-untrained")] += count
    return passes, of_lengths


def test_a_plan_counts_what_its_pages_extract(ran):
    """Passes that features are read from: all of them but those of texts of several lengths, of which some
    come out equal on texts that are this short."""
    run, passes = ran["coco"], defaultdict(int)
    for page in run.pages:
        taken = run.results[page].parameters
        for one in extractions.of_page(page, taken, [40, 20, 30]):
            passes[page == "24_token_length", one.backbone] += one.samples * one.sets * len(one.timesteps)
    found, of_lengths = extracted(run.cache)
    for backbone in ("dit-xl-2-256", "plaid-1b"):
        assert found[backbone] == passes[False, backbone] > 0
    assert 0 < of_lengths <= passes[True, "plaid-1b"]


def test_vg500_stands_beside_its_own_table(ran):
    found = ran["vg500"].results
    assert found["21_probe_text_grid"]["text_best_score"].paper == paper.best(6, "text")
    assert found["30_fusion"]["fusion_beats_text"].paper.dataset == "VG500"


def test_voc2007_is_not_of_the_paper(ran):
    best = ran["voc2007"].results["20_probe_image_grid"]["image_best_score"]
    assert 0 < best.value < 1 and best.metric == "mAP" and best.status == "other data"


@pytest.mark.parametrize("name", ["cifar100", "tiny_imagenet"])
def test_images_of_one_class(name, ran):
    page = ran[name].results["20_probe_image_grid"]
    best = page["image_best_score"]
    assert best.metric == "top-1 accuracy" and 0 <= best.value <= 1 and best.paper is None
    assert "accuracy" in page["image_unimodal_in_block"].what


def test_ag_news(ran):
    page = ran["ag_news"].results["21_probe_text_grid"]
    best = page["text_best_score"]
    assert best.paper.value == pytest.approx(0.8792) and best.paper.source.startswith("Table 7")
    assert best.value == page["text_original_score"].value  # no topic is written into a text
    assert page["text_deterministic_beats_random"].paper.value is None  # Table 4 is of mAP
    assert page["text_random_score"].paper is None


def test_data_of_images_alone_run_no_page_on_text(ran):
    assert {"10_extract_image", "20_probe_image_grid", "90_claims"} <= set(ran["pictures"].pages)
    assert not {"00_data", "11_extract_text", "21_probe_text_grid", "30_fusion"} & set(ran["pictures"].pages)


def test_a_page_started_on_data_that_lack_what_it_needs_says_so_in_one_line(ran):
    said = ran["pictures"].refused.read_text().strip().splitlines()[-1]
    assert said.startswith(f"ValueError: {NO_PICTURES} needs captions, which data set coco (reader coco, ")


@pytest.mark.parametrize("name", ["coco", "pictures"])
def test_the_book_compiles_from_a_profile(name, ran, tmp_path):
    """Pages that it does not run stand as stored, and the line under a title says what the page ran on."""
    run = ran[name]
    ignored = shutil.ignore_patterns("_build", "notebooks", "mathjax")
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=ignored)
    sources = [tmp_path / "book", run.executed, run.stored]
    command = [sys.executable, ROOT / "workflow" / "compile_book.py", *sources]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    for page in PAGES:
        html = (tmp_path / "book" / "_build" / "html" / "notebooks" / f"{page}.html").read_text("utf-8")
        assert f"Measured with profile {run.stored.name if page in run.pages else 'scenes'} " in html
        assert str(run.stored.parent) not in html, "a path of this machine"
