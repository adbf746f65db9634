"""What the second paper says of its three tasks, asked as trends: inside beats outputs, several beat one."""

from difffeat.evidence.papers.activations.claims.said import claim
from difffeat.evidence.papers.diff_feat.claims.claim import gain

# Task: how a claim names it, its metric, the page that measures it.
TASKS = {
    "segmentation": ("Semantic segmentation", "mIoU", "53_segmentation"),
    "label_scarce": ("Label-scarce segmentation", "mIoU", "54_label_scarce"),
    "correspondence": ("Semantic correspondence", "PCK@0.1", "55_correspondence"),
}


def _inside(task):
    """The claim that the best place inside a block is better than the best output."""
    name, metric, page = TASKS[task]
    return claim(
        f"act_{task}_inside_beats_outputs",
        f"{name}: the best activation inside a block beats the best output of a block",
        "key results, mechanism 1",
        f"{metric}, best inside less best output",
        by=metric,
        unit="points",
        test=gain,
        needs=page,
    )


def _combined(task):
    """The claim that several activations are better together than the best of them alone."""
    name, metric, page = TASKS[task]
    return claim(
        f"act_{task}_combined_beats_single",
        f"{name}: several activations side by side beat the best single one",
        "method summary",
        f"{metric}, several side by side less the best single",
        by=metric,
        unit="points",
        test=gain,
        needs=page,
    )


TASKS_INSIDE = (*map(_inside, TASKS), *map(_combined, TASKS))
