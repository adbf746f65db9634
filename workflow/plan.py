"""What a profile needs before it can run, without running it: `python workflow/plan.py coco rtx4090`.

Prints what is missing, then for each extraction the passes, the disk for features, and the hours on one GPU.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

import data_prep
from data_prep.readers import ag_news, cifar100, coco, tiny_imagenet, vg500, voc
from difffeat import cost, pages, profiles
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
EXTRACTING = {"10_extract_image": "image", "11_extract_text": "text"}  # and what they read
# What the paper's images a second come to on its RTX 4090, of the vendor's peak: see the page on cost.
SHARE_OF_PEAK = 0.5


def main(name: str, gpu: str = "rtx4090") -> None:
    """Print the plan of a profile."""
    try:
        rate = cost.peak(gpu) * SHARE_OF_PEAK
    except ValueError as error:
        sys.exit(str(error))
    profile = profiles.load(name)
    rows = [row(profile, page, rate) for page in extractions(profile)]
    print(f"profile {profile.name}: {profile.shards} shards each\n")
    for lack in missing(profile):
        print(f"missing: {lack}")
    columns = [
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
    print(f"\n{gpu} at {SHARE_OF_PEAK:.0%} of its peak of {cost.PEAK[gpu]:.0f} TFLOP/s:\n")
    for cells in [columns, *rows]:
        print(
            "  ".join(cell.rjust(max(len(column), 12)) for cell, column in zip(cells, columns, strict=True))
        )


def extractions(profile: profiles.Profile) -> list[str]:
    """The pages of a profile that extract features."""
    named = [page for page in EXTRACTING if profile.pages is None or page in profile.pages]
    return pages.runs(replace(profile, pages=None), named, data_prep.gives(profile.data))


def missing(profile: profiles.Profile) -> Iterator[str]:
    """What is not there yet: folders named by the environment, weights."""
    text = str(profile.data) + str(profile.models)
    for variable in sorted(set(re.findall(r"\$\{?(\w+)", text))):
        if variable not in os.environ:
            yield f"the environment variable {variable}, for {profile.data.get('folder')}"
    names = {profiles.planned(profile, page)[f"{EXTRACTING[page]}_backbone"] for page in extractions(profile)}
    if "dit-xl-2-256" in names:
        names.add("sd-vae-ft-mse")
    for model in sorted(names):
        own = profile.models.get(model, {}).get("folder") or "-random" in model
        if not (own or shipped.weights_folder(model).is_dir()):
            fetched = f"python -m data_prep.fetch {model}"
            yield f"{model}: {shipped.trained_by(model) if model in shipped.OF_REAL_DATA else fetched}"


def sets(taken: Mapping) -> int:
    """How many sets of features a page extracts: one for each noise seed; of text one without noise, and of
    captions that were enhanced also those as written, without noise and with."""
    without_noise = "deterministic" in taken
    return len(taken["noise_seeds"]) + without_noise * (3 if taken.get("enhanced") else 1)


def samples(profile: profiles.Profile, page: str) -> int:
    """How many samples of all parts a page takes: what its parameter says, where that is 0 what there is."""
    taken = profiles.planned(profile, page)["samples"]
    if all(taken):
        return sum(taken)
    return sum(count or held for count, held in zip(taken, parts(profile), strict=True))


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


def row(profile: profiles.Profile, page: str, rate: float) -> list[str]:
    """One line of the plan, as text."""
    taken, count = profiles.planned(profile, page), samples(profile, page)
    kind = EXTRACTING[page]
    name, points = taken[f"{kind}_backbone"], {key: taken[f"{kind}_{key}"] for key in ("blocks", "timesteps")}
    length = profile.models.get(name, {}).get("length", published.PLAID_LENGTH)
    try:
        model = cost.model(name, length)
    except ValueError as error:
        sys.exit(f"profile {profile.name}, {page}: {error}")
    ours = cost.one_pass_per_timestep(model, count * sets(taken), **points)
    plain = cost.one_pass_per_point(model, count * sets(taken), **points)
    return [
        page,
        name,
        f"{count:,}",
        str(sets(taken)),
        f"{ours.passes:,}",
        f"{plain.passes:,}",
        f"{ours.bytes / 1e9:.1f}",
        f"{ours.hours(rate):.1f}",
        f"{plain.hours(rate):.1f}",
        f"{60 * ours.hours(rate) / profile.shards:.1f}",
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
