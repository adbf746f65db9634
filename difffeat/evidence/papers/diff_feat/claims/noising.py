"""What the paper says of random and deterministic noising, beside the claim on the page of text grids."""

from difffeat.evidence import comparisons
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, numbers

PAGE = "23_noising"
NOISING = (
    Claim(
        id="noising_text_everywhere",
        part="Noising",
        text="Text: deterministic noising is better at every timestep and block",
        source="appendix D, Figure 8",
        metric="smallest difference of {metric} over the grid, deterministic less random",
        unit="points",
        test=comparisons.everywhere,
        needs=PAGE,
    ),
    Claim(
        id="noising_text_paired_t",
        part="Noising",
        text="Text: the gain of deterministic noising is significant in a paired t test over the grid",
        source="appendix D, Table 4",
        metric="paired t of {metric}",
        test=comparisons.t_test,
        published=lambda number: (numbers(paper.value(4, "t_value", noising="deterministic").value),),
        needs=PAGE,
    ),
    Claim(
        id="noising_text_every_kind",
        part="Noising",
        text="Text: deterministic noising is better, whether it is the mean or DDIM",
        source="section 3.1 says: e.g., DDIM",
        metric="smallest difference of {metric} over kinds, deterministic less random",
        unit="points",
        test=comparisons.everywhere,
        needs=PAGE,
    ),
    Claim(
        id="noising_images_same",
        part="Noising",
        text="Images: random and deterministic noising do not differ",
        source="section 3.1, from DDAE",
        metric="largest difference of {metric} over points, deterministic less random",
        unit="points",
        test=comparisons.same,
        needs=PAGE,
    ),
)
