"""What the paper says of its trends by another metric than mAP: they are the same."""

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, printed_image, printed_text

IMAGES, TEXT = "20_probe_image_grid", "21_probe_text_grid"
METRICS = (
    Claim(
        id="image_same_block_by_both",
        part="Images",
        text="Images: the block that is best by {metric} is best by the second one too (OP beside mAP)",
        source='section 1 ("regardless of ... evaluation metric"), appendix G, Table 5',
        metric="metrics with the commonest best block",
        unit="percent",
        test=lambda grid, other: shapes.same_under(grid, other, 1),
        published=lambda number: printed_image(number, "mAP", "OP"),
        needs=IMAGES,
    ),
    Claim(
        id="image_second_same_best_block",
        part="Images",
        text="Images: by the second metric of the map, {metric}, one block is the best at every timestep",
        source='section 1 ("regardless of ... evaluation metric"), appendix G, Table 5',
        metric="timesteps with the commonest best block",
        unit="percent",
        test=lambda grid: shapes.same_best(grid, 1),
        published=lambda number: printed_image(number, "OP"),
        needs=IMAGES,
        by="OP",
    ),
    Claim(
        id="text_second_falls_with_timestep",
        part="Text",
        text="Text: by the second metric of the map, {metric}, every block falls as the timestep grows",
        source='section 3.2 (3), Figure 2 ("OP exhibits a similar trend"), Table 5',
        metric="{metric} at the first timestep less that at the last, best block",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 0, rising=False),
        published=lambda number: printed_text(number, "OP"),
        needs=TEXT,
        by="OP",
    ),
    Claim(
        id="text_second_rises_with_block",
        part="Text",
        text="Text: by the second metric of the map, {metric}, every timestep rises with the block",
        source='section 3.2 (4), Figure 2 ("OP exhibits a similar trend"), Table 5',
        metric="{metric} at the last block less that at the first, best timestep",
        unit="points",
        test=lambda grid: shapes.monotone(grid, 1, rising=True),
        published=lambda number: printed_text(number, "OP"),
        needs=TEXT,
        by="OP",
    ),
)
