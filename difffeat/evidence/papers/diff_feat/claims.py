"""The list of the paper's claims: what is said where, how it is tested, what the paper's own numbers give."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat import tables as paper

DIT_DEPTH = 28  # blocks of DiT-XL/2, the paper's image model


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes
    ----------
    id, text : str
    source : str, where the paper makes it
    metric, unit : str, of the number that sums it up
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
    unit: str
    test: Callable | None
    published: Callable | None
    needs: str
    result: str = ""


def _middle(grid, depth):
    return shapes.within(grid, 1, depth, 1 / 3, 2 / 3)


def _gain(a, b):
    return shapes.positive(a.mean - b.mean, a.draws - b.draws)


def _image(number):
    return (paper.grid(number, "image"),)


def _text(number):
    return (paper.grid(number, "text"),)


def _best_of(*modalities):
    """The paper's best number of each of these modalities, as `test` takes it."""
    return lambda number: tuple(numbers(paper.best(number, modality).value) for modality in modalities)


@dataclass(frozen=True)
class Numbers:
    """Values (...) and their draws (R, ...), named as those of a grid."""

    mean: np.ndarray
    draws: np.ndarray


def numbers(given):
    """What `check` was given: a grid, a (value, draws) pair, or a number without draws."""
    if hasattr(given, "draws"):
        return given
    mean, draws = given if isinstance(given, tuple) else (given, np.asarray(given)[None])
    return Numbers(np.asarray(mean, dtype=float), np.asarray(draws, dtype=float))


IMAGE_PAGE, TEXT_PAGE, FUSION_PAGE = "20_probe_image_grid", "21_probe_text_grid", "30_fusion"
CLAIMS = (
    Claim(
        "image_unimodal_in_timestep",
        "Images: at every block, mAP rises with the timestep to one peak and then falls",
        "section 3.2 (1), Table 5",
        "best timestep",
        "",
        lambda grid: shapes.unimodal(grid, 0),
        _image,
        IMAGE_PAGE,
    ),
    Claim(
        "image_unimodal_in_block",
        "Images: at every timestep, mAP rises with the block to one peak and then falls",
        "section 3.2 (2), Table 5",
        "best block",
        "",
        lambda grid: shapes.unimodal(grid, 1),
        _image,
        IMAGE_PAGE,
    ),
    Claim(
        "image_best_in_middle",
        "Images: the best block lies in the middle third of the model",
        "abstract, Table 5",
        "best block / depth",
        "",
        _middle,
        lambda number: (*_image(number), DIT_DEPTH),
        IMAGE_PAGE,
    ),
    Claim(
        "image_same_best_block",
        "Images: the same block is the best at every timestep",
        "section 3.2, Table 5",
        "timesteps with the commonest best block",
        "percent",
        lambda grid: shapes.same_best(grid, 1),
        _image,
        IMAGE_PAGE,
    ),
    Claim(
        "text_falls_with_timestep",
        "Text: at every block, mAP falls as the timestep grows",
        "section 3.2 (3), Table 5",
        "mAP at the first timestep less that at the last, best block",
        "points",
        lambda grid: shapes.monotone(grid, 0, rising=False),
        _text,
        TEXT_PAGE,
    ),
    Claim(
        "text_rises_with_block",
        "Text: at every timestep, mAP rises with the block",
        "section 3.2 (4), Table 5",
        "mAP at the last block less that at the first, best timestep",
        "points",
        lambda grid: shapes.monotone(grid, 1, rising=True),
        _text,
        TEXT_PAGE,
    ),
    Claim(
        "text_deterministic_beats_random",
        "Text: deterministic noising gives better features than random noising",
        "section 3.1, Table 4",
        "mean mAP over the grid, deterministic less random",
        "points",
        _gain,
        lambda number: tuple(
            numbers(paper.value(4, "mAP_mean", noising=noising).value)
            for noising in ("deterministic", "random")
        ),
        TEXT_PAGE,
    ),
    Claim(
        "text_noised_falls_with_timestep",
        "Text, random noise: at every block, mAP falls as the timestep grows",
        "the same of random noise; not stated apart",
        "mAP at the first timestep less that at the last, best block",
        "points",
        lambda grid: shapes.monotone(grid, 0, rising=False),
        None,
        TEXT_PAGE,
    ),
    Claim(
        "text_noised_rises_with_block",
        "Text, random noise: at every timestep, mAP rises with the block",
        "the same of random noise; not stated apart",
        "mAP at the last block less that at the first, best timestep",
        "points",
        lambda grid: shapes.monotone(grid, 1, rising=True),
        None,
        TEXT_PAGE,
    ),
    Claim(
        "fusion_beats_image",
        "Fusion: linear addition beats the best image feature",
        "abstract, Table 5",
        "mAP, fused less image",
        "points",
        _gain,
        _best_of("fusion", "image"),
        FUSION_PAGE,
    ),
    Claim(
        "fusion_beats_text",
        "Fusion: linear addition beats the best text feature",
        "abstract, Table 5",
        "mAP, fused less text",
        "points",
        _gain,
        _best_of("fusion", "text"),
        FUSION_PAGE,
    ),
    Claim(
        "fusion_beats_concat",
        "Fusion: linear addition beats simple concatenation",
        "section 4.3, Figure 3 (training loss)",
        "mAP, addition less concatenation",
        "points",
        _gain,
        None,
        FUSION_PAGE,
    ),
    Claim(
        "fusion_beats_text_written",
        "Fusion, captions as written: linear addition beats the best text feature",
        "not tested in the paper, whose captions hold the labels",
        "mAP, fused less text",
        "points",
        _gain,
        None,
        FUSION_PAGE,
    ),
    Claim(
        "search_finds_best",
        "Search: Algorithm 1 finds the best pair of the full grid",
        "section 3.3, Algorithm 1",
        "mAP, best pair of the grid less the pair found",
        "points",
        lambda pairs, chosen: shapes.best_of(pairs.mean, pairs.draws, chosen),
        None,
        "31_search",
    ),
    Claim(
        "fusion_map_coco",
        "Fusion reaches 98.6% mAP on MS-COCO-enhanced",
        "abstract, Table 1",
        "mAP",
        "percent",
        None,
        lambda number: paper.value(1, "mAP", method="Diff-Feat"),
        "profile coco",
        "fusion_addition_map",
    ),
    Claim(
        "fusion_map_vg500",
        "Fusion reaches 45.7% mAP on VG500",
        "abstract, Table 2",
        "mAP",
        "percent",
        None,
        lambda number: paper.value(2, "mAP", method="Diff-Feat"),
        "profile vg500",
        "fusion_addition_map",
    ),
)
