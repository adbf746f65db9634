"""The list of the paper's claims: what is said where, how it is tested, what the paper's own numbers give."""

from difffeat.evidence.papers.diff_feat.claims.best_points import BEST_POINTS
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, numbers
from difffeat.evidence.papers.diff_feat.claims.data import DATA
from difffeat.evidence.papers.diff_feat.claims.fusion import FUSION
from difffeat.evidence.papers.diff_feat.claims.headlines import HEADLINES
from difffeat.evidence.papers.diff_feat.claims.images import IMAGES
from difffeat.evidence.papers.diff_feat.claims.models import MODELS
from difffeat.evidence.papers.diff_feat.claims.search import SEARCH
from difffeat.evidence.papers.diff_feat.claims.text import TEXT

__all__ = ["CLAIMS", "Claim", "numbers"]

CLAIMS = (*DATA, *MODELS, *IMAGES, *TEXT, *BEST_POINTS, *FUSION, *SEARCH, *HEADLINES)
