"""What the second paper says of places inside blocks, asked of the first paper's task."""

from difffeat.evidence.papers.activations.claims.said import claim
from difffeat.evidence.papers.diff_feat.claims.claim import gain

PAGE = "52_joined"
GAIN = dict(unit="points", test=gain, needs=PAGE)

PLACES = (
    claim(
        "act_inside_beats_outputs",
        "Multi-label classification: the best activation inside a block beats the best output of a block",
        "not tested in the paper, whose tasks are dense; mechanism 1",
        "{metric}, best inside less best output",
        **GAIN,
    ),
    claim(
        "act_inside_beats_best_block",
        "Multi-label classification: some activation inside the best block beats that block's output",
        "not tested in the paper, whose tasks are dense; mechanism 1",
        "{metric}, best inside that block less its output",
        **GAIN,
    ),
    claim(
        "act_combined_beats_single",
        "Multi-label classification: several activations side by side beat the best single one",
        "not tested in the paper, whose tasks are dense; method summary",
        "{metric}, several side by side less the best single",
        **GAIN,
    ),
)
