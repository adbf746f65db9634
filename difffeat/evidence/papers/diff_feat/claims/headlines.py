"""The paper's headline numbers, which take its own data and models."""

from collections.abc import Callable

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim

NUMBERS = "Headline numbers"
COCO, VG500 = "MS-COCO, DiT-XL/2 and Plaid 1B, profile coco", "VG500, DiT-XL/2 and Plaid 1B, profile vg500"
METRICS = {
    "CP": "a precision per class of 97.5%",
    "CR": "a recall per class of 95.8%",
    "CF1": "an F1 per class of 96.6%",
    "OP": "an overall precision of 97.7%",
    "OR": "an overall recall of 96.1%",
    "OF1": "an overall F1 of 96.9%",
}


def number(id: str, text: str, source: str, published: Callable, result: str, needs: str = COCO) -> Claim:
    """A claim that is a number, compared on the paper's data alone.

    Parameters
    ----------
    id, text, source, published, result, needs : as of a Claim
    """
    about = dict(part=NUMBERS, metric="{metric}", unit="percent")
    return Claim(id=id, text=text, source=source, published=published, result=result, needs=needs, **about)


def of_fused(metric: str, said: str) -> Claim:
    """One of the other numbers of Diff-Feat in Table 1; its CF1 is the mean of per-class F1, as Table 5's."""
    return Claim(
        id=f"fusion_{metric.lower()}_coco",
        part=NUMBERS,
        text=f"Fusion has {said} on MS-COCO-enhanced",
        source="Table 1",
        metric=metric,
        unit="percent",
        published=lambda number: paper.value(1, metric, method="Diff-Feat"),
        needs=COCO,
        result=f"fusion_addition_{'CF1_macro' if metric == 'CF1' else metric}",
    )


HEADLINES = (
    number(
        "fusion_map_coco",
        "Fusion reaches 98.6% {metric} on MS-COCO-enhanced",
        "abstract, Table 1",
        lambda number: paper.value(1, "mAP", method="Diff-Feat"),
        "fusion_addition_score",
    ),
    number(
        "fusion_map_vg500",
        "Fusion reaches 45.7% {metric} on VG500",
        "abstract, Table 2",
        lambda number: paper.value(2, "mAP", method="Diff-Feat"),
        "fusion_addition_score",
        VG500,
    ),
    *(of_fused(metric, said) for metric, said in METRICS.items()),
    number(
        "image_map_coco",
        "The best image feature reaches 60.48% {metric} on MS-COCO",
        "Table 5",
        lambda number: paper.best(5, "image"),
        "image_best_score",
    ),
    number(
        "image_map_vg500",
        "The best image feature reaches 29.40% {metric} on VG500",
        "Table 6",
        lambda number: paper.best(6, "image"),
        "image_best_score",
        VG500,
    ),
    number(
        "text_map_coco",
        "The best text feature reaches 93.41% {metric} on MS-COCO-enhanced",
        "Table 5",
        lambda number: paper.best(5, "text"),
        "text_best_score",
    ),
    number(
        "text_map_vg500",
        "The best text feature reaches 40.05% {metric} on VG500",
        "Table 6",
        lambda number: paper.best(6, "text"),
        "text_best_score",
        VG500,
    ),
    number(
        "text_deterministic_mean_coco",
        "Text, deterministic noising: 88.42% mean {metric} over the grid",
        "Table 4",
        lambda number: paper.value(4, "mAP_mean", noising="deterministic"),
        "text_deterministic_score",
    ),
    number(
        "text_random_mean_coco",
        "Text, random noising: 81.96% mean {metric} over the grid",
        "Table 4",
        lambda number: paper.value(4, "mAP_mean", noising="random"),
        "text_random_score",
    ),
    Claim(
        id="text_error_ag_news",
        part=NUMBERS,
        text="Topics of AG News are told with an error rate of 12.08%",
        source="appendix H, Table 7",
        metric="top-1, 100% less the error rate",
        unit="percent",
        published=lambda number: paper.headline("ag_news", "text", "top-1"),
        needs="AG News and Plaid 1B, profile ag_news",
        result="text_best_score",
    ),
)
