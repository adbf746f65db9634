"""What the paper says of joined features, and of the search for them."""

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain, printed_best

PAGE = "30_fusion"
FUSION = (
    Claim(
        id="fusion_beats_image",
        part="Fusion",
        text="Fusion: linear addition beats the best image feature",
        source="abstract, Table 5",
        metric="{metric}, fused less image",
        unit="points",
        test=gain,
        published=printed_best("fusion", "image"),
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_text",
        part="Fusion",
        text="Fusion: linear addition beats the best text feature",
        source="abstract, Table 5",
        metric="{metric}, fused less text",
        unit="points",
        test=gain,
        published=printed_best("fusion", "text"),
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_concat",
        part="Fusion",
        text="Fusion: linear addition beats simple concatenation",
        source="section 4.3, Figure 3 (training loss)",
        metric="{metric}, addition less concatenation",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_text_written",
        part="Fusion",
        text="Fusion, captions as written: linear addition beats the best text feature",
        source="not tested in the paper, whose captions hold the labels",
        metric="{metric}, fused less text",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="search_finds_best",
        part="Search",
        text="Search: Algorithm 1 finds the best pair of the full grid",
        source="section 3.3, Algorithm 1",
        metric="{metric}, best pair of the grid less the pair found",
        unit="points",
        test=lambda pairs, chosen: shapes.best_of(pairs.values, pairs.draws, chosen),
        needs="31_search",
    ),
)
