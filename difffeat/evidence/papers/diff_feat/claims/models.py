"""What the paper says of the two models, and of how fast features come out of them."""

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim
from difffeat.evidence.papers.diff_feat.tables import Published

CARD = "an RTX 4090"
MODELS = (
    Claim(
        id="dit_blocks",
        part="Models",
        text="DiT-XL/2 has 28 Transformer blocks",
        source="section 4.1",
        metric="blocks",
        unit="count",
        published=lambda number: Published(28, 0.0, "section 4.1", "MS-COCO"),
        needs="DiT-XL/2 and MS-COCO, profile coco",
        result="image_depth",
    ),
    Claim(
        id="plaid_blocks",
        part="Models",
        text="Plaid 1B has 24 Transformer blocks",
        source="section 4.2",
        metric="blocks",
        unit="count",
        published=lambda number: Published(24, 0.0, "section 4.2", "MS-COCO-enhanced"),
        needs="Plaid 1B and MS-COCO, profile coco",
        result="text_depth",
    ),
    Claim(
        id="image_speed_4090",
        part="Models",
        text="Features of 363.52 images a second come out of DiT-XL/2 on one RTX 4090",
        source="appendix B",
        metric="images a second",
        published=lambda number: paper.speed("image"),
        needs=f"{CARD} and DiT-XL/2",
        result="image_speed",
    ),
    Claim(
        id="text_speed_4090",
        part="Models",
        text="Features of 104.32 texts a second come out of Plaid 1B on one RTX 4090",
        source="appendix B",
        metric="texts a second",
        published=lambda number: paper.speed("text"),
        needs=f"{CARD} and Plaid 1B",
        result="text_speed",
    ),
)
