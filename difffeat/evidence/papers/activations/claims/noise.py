"""What the second paper says of noise, granularity and locality: the three properties that it filters by."""

from difffeat.evidence import inside
from difffeat.evidence.papers.activations.claims.said import claim
from difffeat.evidence.papers.diff_feat.claims.claim import gain
from difffeat.evidence.shapes import all_positive

PAGE = "50_activations"
SHARE = dict(unit="points", needs=PAGE)

NOISE = (
    claim(
        "act_increments_noisy",
        "What a block adds to the stream is noisier at high frequencies than the stream",
        "mechanism 2, residual connections and increments",
        "noise share of high frequencies, increments less outputs",
        test=gain,
        **SHARE,
    ),
    claim(
        "act_noise_high",
        "Noise is at high spatial frequencies more than at low ones",
        "mechanism 2",
        "noise share, high frequencies less low ones, all activations",
        test=gain,
        **SHARE,
    ),
    claim(
        "act_noise_asymmetric",
        "Noise reaches low frequencies near the input and the output of the model, and less in its middle",
        "mechanism 2",
        "noise share of low frequencies of outputs, the lower of both ends less the middle third",
        test=inside.ends_above_middle,
        **SHARE,
    ),
    claim(
        "act_granularity_changes",
        "Granularity changes within one resolution",
        "mechanism 1",
        "correlation length of outputs in tokens, largest less smallest over blocks",
        test=inside.changes,
        needs=PAGE,
    ),
    claim(
        "act_attention_local",
        "Self-attention is local: in every block it looks nearer than if it looked at all tokens alike",
        "mechanism 3",
        "mean distance in tokens, all tokens alike less attention, least over blocks",
        test=lambda distance, uniform: all_positive(
            uniform - distance.values,
            uniform - distance.draws,
            [f"attention number {place} looks farther" for place in range(1, len(distance.values) + 1)],
        ),
        needs=PAGE,
    ),
    claim(
        "act_attention_suppresses",
        "Self-attention suppresses noise: what it puts out is less noisy than the values that it mixes",
        "mechanism 3",
        "noise share, values less attention outputs",
        test=gain,
        **SHARE,
    ),
    claim(
        "act_local_suppresses",
        "Locality suppresses noise: the nearer an attention looks, the more of the noise it takes away",
        "mechanism 3",
        "rank correlation over blocks of attention distance and what remains of the noise share",
        test=inside.above_zero,
        needs=PAGE,
    ),
)
