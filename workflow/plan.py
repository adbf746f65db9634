"""What a profile needs before it can run, without running it: `python workflow/plan.py coco rtx4090`.

Prints what is missing, then for each extraction the passes, the disk for features, and the hours on one GPU.
"""

import os
import re
import sys

from data_prep import ag_news, cifar100, coco, tiny_imagenet, vg500, voc
from difffeat import cost, profiles
from difffeat.backbones import published

# Samples of all parts, as published.
SAMPLES = {
    "coco": sum(coco.COUNTS.values()),
    "vg500": sum(vg500.COUNTS.values()),
    "voc": voc.COUNTS["trainval"] + voc.COUNTS["test"],
    "cifar100": sum(cifar100.COUNTS.values()),
    "tiny_imagenet": sum(tiny_imagenet.COUNTS.values()),
    "ag_news": sum(ag_news.COUNTS.values()),
}
EXTRACTING = ("10_extract_image", "11_extract_text")
# What the paper's images a second come to on its RTX 4090, of the vendor's peak: see the page on cost.
SHARE_OF_PEAK = 0.5


def main(name, gpu="rtx4090"):
    """Print the plan of a profile."""
    try:
        rate = cost.peak(gpu) * SHARE_OF_PEAK
    except ValueError as error:
        sys.exit(str(error))
    profile = profiles.load(name)
    reader = profile.data.get("reader")
    if reader not in SAMPLES:
        sys.exit(f"profile {name} reads {reader!r}; plans are for {', '.join(SAMPLES)}")
    samples = SAMPLES[reader]
    print(f"profile {name}: {samples:,} samples of {reader}, {profile.shards} shards each\n")
    for lack in missing(profile):
        print(f"missing: {lack}")
    rows = [row(profile, page, samples, rate) for page in extractions(profile)]
    columns = [
        "page",
        "model",
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


def extractions(profile):
    """The pages of a profile that extract features."""
    return [page for page in EXTRACTING if profile.pages is None or page in profile.pages]


def missing(profile):
    """What is not there yet: folders named by the environment, weights."""
    text = str(profile.data) + str(profile.models)
    for variable in sorted(set(re.findall(r"\$\{?(\w+)", text))):
        if variable not in os.environ:
            yield f"the environment variable {variable}, for {profile.data.get('folder')}"
    names = {profiles.planned(profile, page)["backbone"] for page in extractions(profile)}
    if "dit-xl-2-256" in names:
        names.add("sd-vae-ft-mse")
    for model in sorted(names):
        own = profile.models.get(model, {}).get("folder")
        if not (own or published.folder_of(model).is_dir()):
            yield f"{model}: python -m data_prep.fetch {model}"


def sets(taken):
    """How many sets of features a page extracts: one for each noise seed; of text one without noise, and of
    captions that were enhanced also those as written, without noise and with."""
    without_noise = "deterministic" in taken
    return len(taken["noise_seeds"]) + without_noise * (3 if taken.get("enhanced") else 1)


def row(profile, page, samples, rate):
    """One line of the plan, as text."""
    taken = profiles.planned(profile, page)
    name, points = taken["backbone"], {key: taken[key] for key in ("blocks", "timesteps")}
    length = profile.models.get(name, {}).get("length", published.PLAID_LENGTH)
    model = cost.model(name, length)
    ours = cost.one_pass_per_timestep(model, samples * sets(taken), **points)
    plain = cost.one_pass_per_point(model, samples * sets(taken), **points)
    return [
        page,
        name,
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
