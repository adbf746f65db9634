"""The paper's headline numbers, which take its own data and models."""

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim

HEADLINES = (
    Claim(
        id="fusion_map_coco",
        part="Headline numbers",
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
        part="Headline numbers",
        text="Fusion reaches 45.7% {metric} on VG500",
        source="abstract, Table 2",
        metric="{metric}",
        unit="percent",
        published=lambda number: paper.value(2, "mAP", method="Diff-Feat"),
        needs="profile vg500",
        result="fusion_addition_score",
    ),
)
