"""The list of the paper's claims: what is said where, how it is tested, what the paper's own numbers give."""

from difffeat.evidence.papers.diff_feat.claims.claim import Claim, numbers
from difffeat.evidence.papers.diff_feat.claims.fusion import FUSION
from difffeat.evidence.papers.diff_feat.claims.headlines import HEADLINES
from difffeat.evidence.papers.diff_feat.claims.images import IMAGES
from difffeat.evidence.papers.diff_feat.claims.metrics import METRICS
from difffeat.evidence.papers.diff_feat.claims.text import TEXT

__all__ = ["CLAIMS", "Claim", "numbers"]

CLAIMS = (*IMAGES, *TEXT, *METRICS, *FUSION, *HEADLINES)
