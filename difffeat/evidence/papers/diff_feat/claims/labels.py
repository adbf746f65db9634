"""What the paper says of single labels: accuracy maps of four, and how rare ones do."""

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain
from difffeat.probing.by_label import LabelMap, Profiles
from difffeat.probing.stats import Measured

PAGE = "22_categories"


def middle_of_each(profiles: Profiles, depth: int) -> shapes.Verdict:
    """For each label the best block of the middle third against the best outside."""
    inside = np.abs(np.asarray(profiles.blocks) / depth - 0.5) <= 1 / 6 + 1e-9
    if inside.all() or not inside.any():
        raise shapes.TooFewPoints("blocks inside and outside of the middle third")
    leads = [
        given[..., inside].max(-1) - given[..., ~inside].max(-1)
        for given in (profiles.values, profiles.draws)
    ]
    names = [f"{name}: best block of the middle third less best outside" for name in profiles.timesteps]
    return shapes.all_positive(*leads, names)


def falls_late(found: LabelMap) -> shapes.Verdict:
    """At the block of the highest accuracy, the first timestep against the last."""
    if len(found.timesteps) < 2:
        raise shapes.TooFewPoints("two timesteps or more")
    column = found.blocks.index(found.best[1])
    values, draws = found.values[:, column], found.draws[..., column]
    return shapes.positive(values[0] - values[-1], draws[:, 0] - draws[:, -1])


def gain_of_rare(fused: Measured, alone: Measured) -> shapes.Verdict:
    """`gain`, where there are rare labels at all."""
    if not np.size(fused.values):
        raise shapes.TooFewPoints("a label that is rare and occurs in test")
    return gain(fused, alone)


LABELS = (
    Claim(
        id="label_same_best_block",
        part="Labels",
        text="Labels: the same block gives the highest accuracy for each of four categories",
        source="appendix C, Figure 7",
        metric="categories with the commonest best block",
        unit="percent",
        test=lambda profiles: shapes.same_best(profiles, 1),
        needs=PAGE,
    ),
    Claim(
        id="label_best_in_middle",
        part="Labels",
        text="Labels: the best block of each of four categories lies in the middle third of the model",
        source="appendix C, Figure 7",
        metric="accuracy, best block of the middle third less best outside, smallest of the categories",
        unit="points",
        test=middle_of_each,
        needs=PAGE,
    ),
    Claim(
        id="label_frequent_falls_late",
        part="Labels",
        text="Labels: accuracy for the most frequent category is high at early timesteps and declines after",
        source="appendix C, Figure 7 (person)",
        metric="accuracy at the first timestep less that at the last, best block",
        unit="points",
        test=falls_late,
        needs=PAGE,
    ),
    Claim(
        id="label_rare_beats_image",
        part="Labels",
        text="Labels: on rare labels the fused feature does better than the image feature",
        source="section 5 (highly imbalanced tasks), Figure 5 (a)",
        metric="mean F1 of rare labels, fused less image",
        unit="points",
        test=gain_of_rare,
        needs=PAGE,
    ),
    Claim(
        id="label_rare_beats_text",
        part="Labels",
        text="Labels: on rare labels the fused feature does better than the text feature",
        source="section 5 (highly imbalanced tasks), Figure 5 (a)",
        metric="mean F1 of rare labels, fused less text",
        unit="points",
        test=gain_of_rare,
        needs=PAGE,
    ),
)
