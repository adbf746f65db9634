"""What the claims of the second paper have in common."""

from difffeat.evidence.papers.diff_feat.claims.claim import Claim

PART = "Inside the blocks"
DATA = "SPair-71k, ADE20K, Horse-21"  # what the paper measures its own on


def claim(id: str, text: str, source: str, metric: str, **about: object) -> Claim:
    """A claim of the second paper.

    Parameters
    ----------
    id, text, source, metric, **about : as of a Claim; `source` as the paper's summary numbers it
    """
    return Claim(id=id, text=text, source=source, metric=metric, part=PART, data=DATA, **about)
