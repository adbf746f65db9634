"""What the paper says of other methods."""

from collections.abc import Callable

from difffeat.evidence.papers.diff_feat import baselines
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain, numbers

PAGE = "35_baselines"
TABLES = {5: 1, 6: 2}  # the comparison that goes with each table of grids


def _printed_best(kind: str) -> Callable:
    """The paper's own mAP and the best of a kind, as a test takes them."""

    def of_table(number):
        table = TABLES[number]
        ours = paper.value(table, "mAP", method=baselines.OURS)
        return numbers(ours.value), numbers(baselines.best(table, kind)[1].value)

    return of_table


def _margin(kind: str) -> Claim:
    return Claim(
        id=f"margin_over_{kind.lower()}",
        part="Headline numbers",
        text=f"Fusion surpasses the best {kind} baseline by a wide margin",
        source="abstract, Table 1",
        metric="{metric}, fused less the best published " + kind,
        unit="points",
        published=lambda number: baselines.margin(TABLES[number], kind),
        needs="profile coco",
        result=f"margin_{kind.lower()}",
    )


BASELINES = (
    *map(_margin, baselines.KINDS),
    Claim(
        id="fusion_beats_cnn",
        part="Headline numbers",
        text="Fusion surpasses a CNN that is trained on the same pictures",
        source="abstract, Table 1",
        metric="{metric}, fused less CNN",
        unit="points",
        test=gain,
        published=_printed_best("CNN"),
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_cnn_written",
        part="Headline numbers",
        text="Fusion, captions as written, surpasses a CNN that is trained on the same pictures",
        source="not tested in the paper, whose captions hold the labels",
        metric="{metric}, fused less CNN",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_words",
        part="Fusion",
        text="Fusion surpasses a bag of words of the same captions",
        source="not tested in the paper",
        metric="{metric}, fused less bag of words",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_beats_words_written",
        part="Fusion",
        text="Fusion, captions as written, surpasses a bag of words of the same captions",
        source="not tested in the paper",
        metric="{metric}, fused less bag of words",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
)
