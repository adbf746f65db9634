"""What the paper says of captions that its labels are written into."""

from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain

PAGE = "36_leakage"
LEAKAGE = (
    Claim(
        id="enhanced_more_than_string_match",
        part="Data",
        text="Enhanced captions: the fused feature reads more labels than a search for their names finds, "
        "with no model",
        source='appendix A: "the aim of this augmentation is not label leakage"',
        metric="{metric}, fused less string match",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="enhanced_more_than_words",
        part="Data",
        text="Enhanced captions: the fused feature reads more labels than a linear probe on the words does",
        source='appendix A: "the aim of this augmentation is not label leakage"',
        metric="{metric}, fused less bag of words",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_image_written",
        part="Data",
        text="Fusion, captions as written: linear addition beats the best image feature",
        source='appendix A: "such augmentation is unnecessary" where text says enough',
        metric="{metric}, fused less image",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_image_masked",
        part="Data",
        text="Fusion, enhanced captions without the names of labels: linear addition beats the best image "
        "feature",
        source="not tested in the paper, whose captions hold the labels",
        metric="{metric}, fused less image",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_text_masked",
        part="Data",
        text="Fusion, enhanced captions without the names of labels: linear addition beats the best text "
        "feature",
        source="not tested in the paper, whose captions hold the labels",
        metric="{metric}, fused less text",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
)
