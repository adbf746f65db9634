"""What the paper says of text features."""

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain, numbers, printed_text

PAGE = "21_probe_text_grid"
TEXT = (
    Claim(
        id="text_falls_with_timestep",
        part="Text",
        text="Text: at every block, {metric} falls as the timestep grows",
        source="section 3.2 (3), Table 5",
        metric="{metric} at the first timestep less that at the last, best block",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 0, rising=False),
        published=printed_text,
        needs=PAGE,
    ),
    Claim(
        id="text_rises_with_block",
        part="Text",
        text="Text: at every timestep, {metric} rises with the block",
        source="section 3.2 (4), Table 5",
        metric="{metric} at the last block less that at the first, best timestep",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 1, rising=True),
        published=printed_text,
        needs=PAGE,
    ),
    Claim(
        id="text_deterministic_beats_random",
        part="Text",
        text="Text: deterministic noising gives better features than random noising",
        source="section 3.1, Table 4",
        metric="mean {metric} over the grid, deterministic less random",
        unit="points",
        test=gain,
        published=lambda number: tuple(
            numbers(paper.value(4, "mAP_mean", noising=noising).value)
            for noising in ("deterministic", "random")
        ),
        needs=PAGE,
    ),
    Claim(
        id="text_noised_falls_with_timestep",
        part="Text",
        text="Text, random noise: at every block, {metric} falls as the timestep grows",
        source="the same of random noise; not stated apart",
        metric="{metric} at the first timestep less that at the last, best block",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 0, rising=False),
        needs=PAGE,
    ),
    Claim(
        id="text_noised_rises_with_block",
        part="Text",
        text="Text, random noise: at every timestep, {metric} rises with the block",
        source="the same of random noise; not stated apart",
        metric="{metric} at the last block less that at the first, best timestep",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 1, rising=True),
        needs=PAGE,
    ),
)
