"""The list of the paper's claims: what is said where, how it is tested, what the paper's own numbers give."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing.stats import Measured

DIT_DEPTH = 28  # blocks of DiT-XL/2, the paper's image model


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes
    ----------
    id : str
    text : str, with {metric} where the name of the metric stands
    source : str, where the paper makes it
    metric, unit : str, of the number that sums it up; metric as text
    test : callable of the measured arrays, returns a Verdict; None for a claim that is a number
    published : callable of a table number (5 or 6), returns what `test` takes, or the Published number; None
        where the paper prints no number for it
    needs : str, the notebook that measures it, or what else it takes
    result : str, for a claim that is a number the id of the Result that holds ours
    """

    id: str
    text: str
    source: str
    metric: str
    needs: str
    unit: str = ""
    test: Callable | None = None
    published: Callable | None = None
    result: str = ""

    def said(self, metric: str = "mAP") -> str:
        """The claim in words, of this metric."""
        return self.text.format(metric=metric)

    def measured(self, metric: str = "mAP") -> str:
        """What sums it up, of this metric."""
        return self.metric.format(metric=metric)


def _middle(grid, depth):
    return shapes.within(grid, 1, depth, 1 / 3, 2 / 3)


def _gain(a, b):
    return shapes.positive(a.values - b.values, a.draws - b.draws)


def _image(number):
    return (paper.grid(number, "image"),)


def _text(number):
    return (paper.grid(number, "text"),)


def _best_of(*modalities):
    """The paper's best number of each of these modalities, as `test` takes it."""
    return lambda number: tuple(numbers(paper.best(number, modality).value) for modality in modalities)


def numbers(given: Any) -> Any:
    """What `check` was given: a grid, a (value, draws) pair, or a number without draws."""
    if hasattr(given, "draws"):
        return given
    mean, draws = given if isinstance(given, tuple) else (given, np.asarray(given)[None])
    return Measured(np.asarray(mean, dtype=float), np.asarray(draws, dtype=float))


IMAGE_PAGE, TEXT_PAGE, FUSION_PAGE = "20_probe_image_grid", "21_probe_text_grid", "30_fusion"
CLAIMS = (
    Claim(
        id="image_unimodal_in_timestep",
        text="Images: at every block, {metric} rises with the timestep to one peak and then falls",
        source="section 3.2 (1), Table 5",
        metric="best timestep",
        test=lambda grid: shapes.unimodal(grid, 0),
        published=_image,
        needs=IMAGE_PAGE,
    ),
    Claim(
        id="image_unimodal_in_block",
        text="Images: at every timestep, {metric} rises with the block to one peak and then falls",
        source="section 3.2 (2), Table 5",
        metric="best block",
        test=lambda grid: shapes.unimodal(grid, 1),
        published=_image,
        needs=IMAGE_PAGE,
    ),
    Claim(
        id="image_best_in_middle",
        text="Images: the best block lies in the middle third of the model",
        source="abstract, Table 5",
        metric="best block / depth",
        test=_middle,
        published=lambda number: (*_image(number), DIT_DEPTH),
        needs=IMAGE_PAGE,
    ),
    Claim(
        id="image_same_best_block",
        text="Images: the same block is the best at every timestep",
        source="section 3.2, Table 5",
        metric="timesteps with the commonest best block",
        unit="percent",
        test=lambda grid: shapes.same_best(grid, 1),
        published=_image,
        needs=IMAGE_PAGE,
    ),
    Claim(
        id="text_falls_with_timestep",
        text="Text: at every block, {metric} falls as the timestep grows",
        source="section 3.2 (3), Table 5",
        metric="{metric} at the first timestep less that at the last, best block",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 0, rising=False),
        published=_text,
        needs=TEXT_PAGE,
    ),
    Claim(
        id="text_rises_with_block",
        text="Text: at every timestep, {metric} rises with the block",
        source="section 3.2 (4), Table 5",
        metric="{metric} at the last block less that at the first, best timestep",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 1, rising=True),
        published=_text,
        needs=TEXT_PAGE,
    ),
    Claim(
        id="text_deterministic_beats_random",
        text="Text: deterministic noising gives better features than random noising",
        source="section 3.1, Table 4",
        metric="mean {metric} over the grid, deterministic less random",
        unit="points",
        test=_gain,
        published=lambda number: tuple(
            numbers(paper.value(4, "mAP_mean", noising=noising).value)
            for noising in ("deterministic", "random")
        ),
        needs=TEXT_PAGE,
    ),
    Claim(
        id="text_noised_falls_with_timestep",
        text="Text, random noise: at every block, {metric} falls as the timestep grows",
        source="the same of random noise; not stated apart",
        metric="{metric} at the first timestep less that at the last, best block",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 0, rising=False),
        needs=TEXT_PAGE,
    ),
    Claim(
        id="text_noised_rises_with_block",
        text="Text, random noise: at every timestep, {metric} rises with the block",
        source="the same of random noise; not stated apart",
        metric="{metric} at the last block less that at the first, best timestep",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 1, rising=True),
        needs=TEXT_PAGE,
    ),
    Claim(
        id="fusion_beats_image",
        text="Fusion: linear addition beats the best image feature",
        source="abstract, Table 5",
        metric="{metric}, fused less image",
        unit="points",
        test=_gain,
        published=_best_of("fusion", "image"),
        needs=FUSION_PAGE,
    ),
    Claim(
        id="fusion_beats_text",
        text="Fusion: linear addition beats the best text feature",
        source="abstract, Table 5",
        metric="{metric}, fused less text",
        unit="points",
        test=_gain,
        published=_best_of("fusion", "text"),
        needs=FUSION_PAGE,
    ),
    Claim(
        id="fusion_beats_concat",
        text="Fusion: linear addition beats simple concatenation",
        source="section 4.3, Figure 3 (training loss)",
        metric="{metric}, addition less concatenation",
        unit="points",
        test=_gain,
        needs=FUSION_PAGE,
    ),
    Claim(
        id="fusion_beats_text_written",
        text="Fusion, captions as written: linear addition beats the best text feature",
        source="not tested in the paper, whose captions hold the labels",
        metric="{metric}, fused less text",
        unit="points",
        test=_gain,
        needs=FUSION_PAGE,
    ),
    Claim(
        id="search_finds_best",
        text="Search: Algorithm 1 finds the best pair of the full grid",
        source="section 3.3, Algorithm 1",
        metric="{metric}, best pair of the grid less the pair found",
        unit="points",
        test=lambda pairs, chosen: shapes.best_of(pairs.values, pairs.draws, chosen),
        needs="31_search",
    ),
    Claim(
        id="fusion_map_coco",
        text="Fusion reaches 98.6% {metric} on MS-COCO-enhanced",
        source="abstract, Table 1",
        metric="{metric}",
        unit="percent",
        published=lambda number: paper.value(1, "mAP", method="Diff-Feat"),
        needs="profile coco",
        result="fusion_addition_score",
    ),
    Claim(
        id="fusion_map_vg500",
        text="Fusion reaches 45.7% {metric} on VG500",
        source="abstract, Table 2",
        metric="{metric}",
        unit="percent",
        published=lambda number: paper.value(2, "mAP", method="Diff-Feat"),
        needs="profile vg500",
        result="fusion_addition_score",
    ),
)
