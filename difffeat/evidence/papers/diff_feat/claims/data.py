"""What the paper says of its data sets and their captions."""

from difffeat.evidence import readings
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim

DATA = (
    Claim(
        id="captions_leave_labels_out",
        part="Data",
        text="Captions as written leave labels out that enhanced ones name",
        source="appendix A, footnote 1",
        metric="{metric} of a string match, enhanced captions less as written",
        unit="points",
        reads=("string_match_score", "string_match_original_score"),
        test=lambda page: readings.apart(page["string_match_score"], page["string_match_original_score"]),
        needs="00_data or coco_captions",
    ),
    Claim(
        id="rare_categories",
        part="Data",
        text="Seven categories are in less than 1% of the training images of MS-COCO, in as many as printed",
        source="Table 3",
        metric="categories with the printed number of images",
        unit="count",
        reads=("images_toaster", "images_bear"),
        data="MS-COCO",
        test=readings.rare_counts,
        published=lambda number: paper.Published(len(paper.table(3)), 0.0, "Table 3", "MS-COCO"),
        needs="the labels of MS-COCO, page coco_captions",
    ),
    Claim(
        id="caption_lengths",
        part="Data",
        text="Enhanced captions of MS-COCO are as long, in tokens, as printed",
        source="Table 8",
        metric="captions in another range than printed",
        unit="count",
        reads=("table8_distance",),
        data="MS-COCO",
        test=readings.lengths,
        needs="the captions of MS-COCO, page coco_captions",
    ),
    Claim(
        id="enhancement_needless_vg500",
        part="Data",
        text="VG500: region descriptions say enough; appended labels are unnecessary",
        source="appendices A and F",
        metric="{metric} of fusion, enhanced captions less as written",
        unit="points",
        needs="VG500 and both models, profile vg500 with enhanced true and false",
    ),
    Claim(
        id="dataset_sizes",
        part="Data",
        text="The data sets have as many images or texts, and labels, as the paper says",
        source="section 4, appendices F, G and H",
        metric="data sets with the printed sizes",
        unit="count",
        needs="the official files of all six data sets",
    ),
)
