"""What the second paper says of its filter."""

from difffeat.evidence import inside
from difffeat.evidence.papers.activations.claims.said import claim

PAGE = "51_filter"

FILTERING = (
    claim(
        "act_filter_keeps_top",
        "A filter by noise and locality keeps more of the best activations than chance would",
        "method summary",
        "of the ten best activations, kept by the filter less expected by chance",
        test=inside.above_zero,
        needs=PAGE,
    ),
    claim(
        "act_filter_equals",
        "The best activation that the filter keeps equals or beats the best of all",
        "method summary",
        "{metric}, best kept less best of all",
        unit="points",
        test=inside.not_below,
        needs=PAGE,
    ),
)
