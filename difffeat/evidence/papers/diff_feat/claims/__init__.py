"""The list of the paper's claims: what is said where, how it is tested, what the paper's own numbers give."""

from difffeat.evidence.papers.diff_feat.claims.baselines import BASELINES
from difffeat.evidence.papers.diff_feat.claims.best_points import BEST_POINTS
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, numbers
from difffeat.evidence.papers.diff_feat.claims.clusters import CLUSTERS
from difffeat.evidence.papers.diff_feat.claims.data import DATA
from difffeat.evidence.papers.diff_feat.claims.fusion import FUSION
from difffeat.evidence.papers.diff_feat.claims.headlines import HEADLINES
from difffeat.evidence.papers.diff_feat.claims.images import IMAGES
from difffeat.evidence.papers.diff_feat.claims.labels import LABELS
from difffeat.evidence.papers.diff_feat.claims.layer12 import LAYER12
from difffeat.evidence.papers.diff_feat.claims.leakage import LEAKAGE
from difffeat.evidence.papers.diff_feat.claims.lengths import LENGTHS
from difffeat.evidence.papers.diff_feat.claims.metrics import METRICS
from difffeat.evidence.papers.diff_feat.claims.models import MODELS
from difffeat.evidence.papers.diff_feat.claims.noising import NOISING
from difffeat.evidence.papers.diff_feat.claims.search import SEARCH
from difffeat.evidence.papers.diff_feat.claims.text import TEXT
from difffeat.evidence.papers.diff_feat.claims.training import TRAINING

__all__ = ["CLAIMS", "Claim", "numbers"]

CLAIMS = (
    *DATA,
    *IMAGES,
    *TEXT,
    *NOISING,
    *FUSION,
    *SEARCH,
    *CLUSTERS,
    *LABELS,
    *HEADLINES,
    *BASELINES,
    *BEST_POINTS,
    *LAYER12,
    *LEAKAGE,
    *LENGTHS,
    *METRICS,
    *MODELS,
    *TRAINING,
)
