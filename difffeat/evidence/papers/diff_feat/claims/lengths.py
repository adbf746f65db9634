"""What the paper says of the number of tokens that texts are cut or padded to."""

from difffeat.evidence import comparisons
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain

PAGE = "24_token_length"
LENGTHS = (
    Claim(
        id="length_rises_then_falls",
        part="Text",
        text="Text: {metric} first rises and then falls with the number of tokens",
        source="appendix I, Figure 16",
        metric="best length",
        test=comparisons.rise_and_fall,
        needs=PAGE,
    ),
    Claim(
        id="length_shorter_is_better",
        part="Text",
        text="Text: a shorter length than the one of all experiments is better",
        source="section 4.1, appendix I (45 tokens, not 60)",
        metric="{metric}, best shorter length less the length used",
        unit="points",
        test=comparisons.shorter,
        needs=PAGE,
    ),
    Claim(
        id="length_fall_is_padding",
        part="Text",
        text="Text: the fall with the number of tokens is padding that is averaged in",
        source="not stated; how Figure 16 may be explained",
        metric="{metric} lost where padding alone grows, in the mean less out of it",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
)
