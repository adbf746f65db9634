"""What the paper says of the search for the best pair, beside what it finds."""

from difffeat.evidence import readings
from difffeat.evidence.papers.diff_feat.claims.claim import Claim

PAGE = "31_search"
COUNTED = ("search_evaluations", "full_evaluations")
SEARCH = (
    Claim(
        id="search_grows_with_points",
        part="Search",
        text="Search: Algorithm 1 evaluates each point of each modality and a few pairs, O(|T||B|) in all",
        source="section 3.3, Algorithm 1",
        metric="evaluations",
        unit="count",
        reads=COUNTED,
        test=readings.candidates,
        needs=PAGE,
    ),
    Claim(
        id="search_is_cheaper",
        part="Search",
        text="Search: Algorithm 1 takes fewer evaluations than the grid of all pairs, O(|T|²|B|²)",
        source="section 3.3",
        metric="evaluations, share of the grid of all pairs",
        unit="percent",
        reads=COUNTED,
        test=readings.cheaper,
        needs=PAGE,
    ),
    Claim(
        id="search_replays_table_5",
        part="Search",
        text="Search: on the printed numbers of MS-COCO-enhanced, it finds the pair that the paper reports",
        source="section 4.3, Figure 4",
        metric="{metric}, best printed pair less the pair found",
        unit="points",
        reads=("search_replayed_regret_5",),
        test=lambda page: readings.located(page["search_replayed_regret_5"], 0, 0),
        needs=PAGE,
    ),
    Claim(
        id="search_replays_table_6",
        part="Search",
        text="Search: on the printed numbers of VG500, it finds the pair that the paper reports",
        source="appendix F, Figure 11",
        metric="{metric}, best printed pair less the pair found",
        unit="points",
        reads=("search_replayed_regret_6",),
        test=lambda page: readings.located(page["search_replayed_regret_6"], 0, 0),
        needs=PAGE,
    ),
)
