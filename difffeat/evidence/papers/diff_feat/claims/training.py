"""What the paper says of how fusion heads train: Figure 3, and the width of Figure 12."""

import numpy as np

from difffeat.base.format import show
from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, gain
from difffeat.evidence.shapes import Contradiction, TooFewPoints, Verdict
from difffeat.probing.stats import Measured

PAGE = "34_fusion_width"


def lowest(*measured: Measured, first: int, names: tuple = ()) -> Verdict:
    """Whether each of the first numbers lies below each of the others.

    Parameters
    ----------
    *measured : Measured, draws over seeds
    first : int, how many are to be the lowest
    names : what they are called, where a contradiction is put in words

    Returns
    -------
    Verdict
        Its value is the lowest of the others less the highest of the first.
    """
    values = np.array([given.values for given in measured])
    draws = np.stack([given.draws for given in measured])
    if draws.std(axis=1).max() < 1e-9:  # but for rounding, one and the same
        raise TooFewPoints("at least 2 seeds of the first weights")
    found = shapes.positive(
        values[first:].min() - values[:first].max(), draws[first:].min(axis=0) - draws[:first].max(axis=0)
    )
    if found.value > 0 or not names:
        return found
    high, low = names[values[:first].argmax()], names[first + values[first:].argmin()]
    against = Contradiction(f"{low} lies below {high}", found.value, found.interval, "")
    return found._replace(contradiction=against)


def flattens(narrow: Measured, knee: Measured, wide: Measured) -> Verdict:
    """Whether a number gains more from the first width to the second than from there to the third."""
    if np.array_equal(knee.draws, wide.draws) or np.array_equal(knee.draws, narrow.draws):
        raise TooFewPoints("widths below that of the text feature and above it")
    early, late = knee.values - narrow.values, wide.values - knee.values
    found = shapes.positive(early - late, (knee.draws - narrow.draws) - (wide.draws - knee.draws))
    if found.value > 0:
        return found
    gained = [show(float(gain), "points") for gain in (late, early)]
    words = f"it gains {gained[0]} points beyond, {gained[1]} up to there"
    return found._replace(contradiction=Contradiction(words, found.value, found.interval))


TRAINING = (
    Claim(
        id="fusion_width_rises",
        part="Fusion",
        text="Fusion: a wider projection gives a higher {metric}",
        source="appendix F, Figure 12",
        metric="{metric} at the largest width less that at the smallest",
        unit="points",
        test=gain,
        needs=PAGE,
    ),
    Claim(
        id="fusion_width_flattens",
        part="Fusion",
        text="Fusion: widths beyond that of the text feature add less {metric} than those up to it",
        source="appendix F, Figure 12",
        metric="{metric} gained up to that width less what is gained beyond",
        unit="points",
        test=flattens,
        needs=PAGE,
    ),
    Claim(
        id="loss_projected_lower",
        part="Fusion",
        text="Fusion: cross attention, linear addition and linear concatenation end with a lower training "
        "loss than simple concatenation",
        source="Figure 3",
        metric="training loss, simple concatenation less the highest of the others",
        test=lambda *losses, names: lowest(*losses, first=3, names=names),
        needs=PAGE,
    ),
    Claim(
        id="loss_two_lowest",
        part="Fusion",
        text="Fusion: cross attention and linear addition end with the lowest training losses",
        source="section 4.3, Figure 3",
        metric="training loss, the lowest of the others less the higher of the two",
        test=lambda *losses, names: lowest(*losses, first=2, names=names),
        needs=PAGE,
    ),
    Claim(
        id="loss_two_fastest",
        part="Fusion",
        text="Fusion: cross attention and linear addition converge fastest",
        source="section 4.3, Figure 3",
        metric="epochs to the loss that the slowest ends with, least of the others less most of the two",
        test=lambda *epochs, names: lowest(*epochs, first=2, names=names),
        needs=PAGE,
    ),
)
