"""What the paper says of image features."""

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, printed_image
from difffeat.probing.grid import Grid

PAGE = "20_probe_image_grid"
DEPTH = 28  # blocks of DiT-XL/2, the paper's image model


def middle(grid: Grid, depth: int) -> shapes.Verdict:
    """Whether the best block lies in the middle third."""
    return shapes.within(grid, 1, depth, 1 / 3, 2 / 3)


IMAGES = (
    Claim(
        id="image_unimodal_in_timestep",
        part="Images",
        text="Images: at every block, {metric} rises with the timestep to one peak and then falls",
        source="section 3.2 (1), Table 5",
        metric="best timestep",
        test=lambda grid: shapes.unimodal(grid, 0),
        published=printed_image,
        needs=PAGE,
    ),
    Claim(
        id="image_unimodal_in_block",
        part="Images",
        text="Images: at every timestep, {metric} rises with the block to one peak and then falls",
        source="section 3.2 (2), Table 5",
        metric="best block",
        test=lambda grid: shapes.unimodal(grid, 1),
        published=printed_image,
        needs=PAGE,
    ),
    Claim(
        id="image_best_in_middle",
        part="Images",
        text="Images: the best block lies in the middle third of the model",
        source="abstract, Table 5",
        metric="best block / depth",
        test=middle,
        published=lambda number: (*printed_image(number), DEPTH),
        needs=PAGE,
    ),
    Claim(
        id="image_same_best_block",
        part="Images",
        text="Images: the same block is the best at every timestep",
        source="section 3.2, Table 5",
        metric="timesteps with the commonest best block",
        unit="percent",
        test=lambda grid: shapes.same_best(grid, 1),
        published=printed_image,
        needs=PAGE,
    ),
)
