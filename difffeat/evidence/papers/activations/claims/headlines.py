"""The numbers of the second paper, which take its data sets and models."""

from difffeat.evidence.papers.activations import tables
from difffeat.evidence.papers.activations.claims.said import claim

MODELS = "Stable Diffusion 1.5 and XL, profiles sd15 and sdxl"
IDS = {
    "semantic correspondence": "correspondence",
    "semantic segmentation": "segmentation",
    "label-scarce segmentation": "label_scarce",
}


def _reached(task):
    """The number of a task, compared on its own data alone."""
    about, number = tables.about(task), tables.reached(task)
    return claim(
        f"act_{IDS[task]}_number",
        f"{task[0].upper()}{task[1:]} on {about['dataset']} reaches {100 * number.value:.4g}% {{metric}}",
        tables.KEY_RESULTS,
        about["metric"],
        by=about["metric"],
        unit="percent",
        published=lambda _: number,
        needs=f"{about['dataset']} and {MODELS}",
        result=f"{IDS[task]}_best_score",
    )


def _above(task):
    """How far that number is above what the outputs gave before."""
    about, number = tables.about(task), tables.above(task)
    return claim(
        f"act_{IDS[task]}_margin",
        f"That is {100 * number.value:.1f} points of {{metric}} above {about['above_what']}, {task}",
        tables.KEY_RESULTS,
        about["metric"],
        by=about["metric"],
        unit="points",
        published=lambda _: number,
        needs=f"{about['dataset']} and {MODELS}",
        result=f"{IDS[task]}_over_outputs",
    )


HEADLINES = (
    *map(_reached, IDS),
    *map(_above, ["semantic correspondence", "semantic segmentation"]),
)
