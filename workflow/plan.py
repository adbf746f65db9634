"""What a profile needs before it can run, without running it: `python workflow/plan.py coco rtx4090`.

Prints what is missing, then for each page and model the passes, the disk for features, and the hours on one
GPU. What a page extracts stands in its metadata, see `extractions`; of texts of other lengths each counts as
long as the profile's.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

import data_prep
from data_prep.readers import ag_news, cifar100, coco, tiny_imagenet, vg500, voc
from difffeat import cost, extractions, pages, profiles
from difffeat.backbones import published, shipped

# Samples of the parts of a data set, as published, and how many a reader holds out of train for val.
PUBLISHED = {
    "coco": (coco.COUNTS["train2014"], coco.COUNTS["val2014"], 5000),
    "vg500": (vg500.COUNTS["train"], vg500.COUNTS["test"], 5000),
    "voc": (voc.COUNTS["trainval"], voc.COUNTS["test"], 500),
    "cifar100": (cifar100.COUNTS["train"], cifar100.COUNTS["test"], 5000),
    "tiny_imagenet": (tiny_imagenet.COUNTS["train"], tiny_imagenet.COUNTS["test"], 5000),
    "ag_news": (ag_news.COUNTS["train"], ag_news.COUNTS["test"], 5000),
}
COLUMNS = [
    "page",
    "model",
    "samples",
    "sets",
    "passes",
    "plain passes",
    "GB",
    "hours",
    "plain hours",
    "minutes a shard",
]
# What the paper's images a second come to on its RTX 4090, of the vendor's peak: see the page on cost.
SHARE_OF_PEAK = 0.5


def main(name: str, gpu: str = "rtx4090") -> None:
    """Print the plan of a profile."""
    try:
        rate = cost.peak(gpu) * SHARE_OF_PEAK
    except ValueError as error:
        sys.exit(str(error))
    profile = profiles.load(name)
    planned = list(extracted(profile))
    print(f"profile {profile.name}: {profile.shards} shards each\n")
    for lack in missing(profile, {one.backbone for _, found in planned for one in found}):
        print(f"missing: {lack}")
    print(f"\n{gpu} at {SHARE_OF_PEAK:.0%} of its peak of {cost.PEAK[gpu]:.0f} TFLOP/s:\n")
    lines = [COLUMNS, *rows(profile, planned, rate)]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for cells in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)))


def extracted(profile: profiles.Profile) -> Iterator[tuple[str, list[extractions.Extraction]]]:
    """(page, what it extracts with one model) of a profile, in the order of pages; not of those that stand as
    they were recorded."""
    declaring = [page for page in pages.after() if profiles.declared(page).get("extracts")]
    named = [page for page in declaring if profile.pages is None or page in profile.pages]
    for page in pages.runs(replace(profile, pages=None), named, data_prep.gives(profile.data)):
        if pages.as_recorded(page, profile):
            continue
        taken = profiles.planned(profile, page)
        found = extractions.of_page(page, taken, samples(profile, taken["samples"]))
        for modality in dict.fromkeys(one.modality for one in found):
            yield page, [one for one in found if one.modality == modality]


def missing(profile: profiles.Profile, backbones: set[str]) -> Iterator[str]:
    """What is not there yet: folders named by the environment, weights."""
    text = str(profile.data) + str(profile.models)
    for variable in sorted(set(re.findall(r"\$\{?(\w+)", text))):
        if variable not in os.environ:
            yield f"the environment variable {variable}, for {profile.data.get('folder')}"
    names = backbones | ({"sd-vae-ft-mse"} if "dit-xl-2-256" in backbones else set())
    for model in sorted(names):
        own = profile.models.get(model, {}).get("folder") or "-random" in model
        if not (own or shipped.weights_folder(model).is_dir()):
            fetched = f"python -m data_prep.fetch {model}"
            yield f"{model}: {shipped.trained_by(model) if model in shipped.TO_TRAIN else fetched}"


def samples(profile: profiles.Profile, taken: list[int]) -> list[int]:
    """How many samples of train, val and test a page takes: what it says, where that is 0 what there is."""
    if all(taken):
        return taken
    return [count or held for count, held in zip(taken, parts(profile), strict=True)]


def parts(profile: profiles.Profile) -> list[int]:
    """How many samples train, val and test hold: of the data that are there, else as published."""
    reader, data = profile.data.get("reader"), profile.data
    try:
        splits = data_prep.splits(profiles.expanded(data, profile.name))
        return [len(splits[part]) for part in profiles.PARTS]
    except (FileNotFoundError, ValueError) as error:
        own = reader == "coco" and "parts" in data
        if own or reader not in PUBLISHED:
            sys.exit(f"the data of profile {profile.name} cannot be counted: {error}")
    train, test, validation = PUBLISHED[reader]
    validation = data.get("validation", validation)
    return [train - validation, validation, test]


def rows(profile: profiles.Profile, planned: list[tuple], rate: float) -> Iterator[list[str]]:
    """The lines of the plan, as text, and one of them all."""
    whole = {way: cost.Work(0, 0, 0.0, 0.0, 0) for way in cost.WAYS}
    for page, found in planned:
        name = found[0].backbone
        length = profile.models.get(name, {}).get("length", published.PLAID_LENGTH)
        try:
            each = [cost.of_extraction(one, length) for one in found]
        except ValueError as error:
            sys.exit(f"profile {profile.name}, {page}: {error}")
        works = {way: sum((one[way] for one in each[1:]), start=each[0][way]) for way in cost.WAYS}
        whole = {way: whole[way] + work for way, work in works.items()}
        shared = profile.shards if "shard" in profiles.planned(profile, page) else 1
        yield line(page, name, found, works, rate, shared)
    yield line("all", "", [one for _, found in planned for one in found], whole, rate, 0)


def line(page: str, model: str, found: list, works: Mapping, rate: float, shared: int) -> list[str]:
    """One line: the most samples that a set of features takes, and what all sets together take."""
    ours, plain = works["ours"], works["plain"]
    return [
        page,
        model,
        f"{max((one.samples for one in found), default=0):,}",
        str(sum(one.sets for one in found)),
        f"{ours.passes:,}",
        f"{plain.passes:,}",
        f"{ours.bytes / 1e9:.1f}",
        f"{ours.hours(rate):.1f}",
        f"{plain.hours(rate):.1f}",
        f"{60 * ours.hours(rate) / shared:.1f}" if shared else "",
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
