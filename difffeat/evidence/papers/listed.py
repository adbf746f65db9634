"""The claims of all papers that the book checks, in the order in which it lists them."""

from difffeat.evidence.papers.activations.claims import CLAIMS as ACTIVATIONS
from difffeat.evidence.papers.diff_feat.claims import CLAIMS as DIFF_FEAT

PAPERS = {"Diff-Feat": DIFF_FEAT, "Activations": ACTIVATIONS}
CLAIMS = tuple(claim for claims in PAPERS.values() for claim in claims)
