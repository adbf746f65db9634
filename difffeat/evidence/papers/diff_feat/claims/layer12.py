"""What the paper says of "Layer 12": one best block, whatever the timestep and the metric."""

from difffeat.evidence import shapes
from difffeat.evidence.layers import printed, stacked
from difffeat.evidence.papers.diff_feat.claims.claim import Claim

LAYER12 = (
    Claim(
        id="image_same_best_block_any_metric",
        part="Images",
        text="Images: the same block is the best at every timestep and by every metric",
        source="introduction, appendix G, Table 5",
        metric="timesteps and metrics with the commonest best block",
        unit="percent",
        test=lambda cells: shapes.same_best(cells, 1),
        published=lambda number: (stacked(printed(number)),),
        needs="91_layer12",
    ),
)
