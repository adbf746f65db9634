"""What noise helps, in words: the best timestep for labels of each kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from difffeat.base.format import show, show_interval
from difffeat.evidence import answers, claims, readings
from difffeat.evidence.numbers import ends
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import Result
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.kinds import Gain, agree

BETWEEN, ONE_PEAK = "image_best_between_ends", "image_unimodal_in_timestep"  # claims about timesteps


def words(found: list[Gain]) -> str:
    """A sentence for each kind, and one on whether the kinds agree."""
    told = [_told(gain) for gain in found]
    together = (
        "No timestep helps labels of one kind and hurts those of another beyond noise."
        if agree(found)
        else "The same noise helps labels of one kind and hurts those of another: one number over all labels "
        "hides it."
    )
    return " ".join([*told, together])


def _told(gain):
    lowest, best = gain.timesteps[0], gain.at(gain.best)
    said = (
        f"Labels of {gain.kind} are best at t = {gain.best} ({show_interval(ends(gain.likely))}), "
        f"in block {gain.block}"
    )
    if gain.best == lowest:
        highest = gain.at(gain.timesteps[-1])
        return f"{said}, and {_moved(highest.value)} by t = {gain.timesteps[-1]}."
    apart = (
        f"{show(best.value, 'points')} points ({show_interval(best.interval, 'points')}) from t = {lowest}"
    )
    if best.interval[0] <= 0 <= best.interval[1]:
        return f"{said}, which is not told apart from t = {lowest}: {apart}."
    return f"{said}: {apart}."


def _moved(value):
    """ "lose 1.2 points"; on test the last timestep may lie above the one that is best on val."""
    return f"{'lose' if value <= 0 else 'gain'} {show(abs(value), 'points').lstrip('+')} points"


def results(found: Iterable[Gain], modality: str = "image") -> list[Result]:
    """The best timestep of each kind, its block, and what it has above the lowest timestep, as results."""
    rows = []
    for gain in found:
        name, best = f"{modality}_{_id(gain.kind)}", gain.at(gain.best)
        rows += [
            Result(f"{name}_best_timestep", gain.best, ends(gain.likely), metric="timestep", unit=""),
            Result(f"{name}_best_block", gain.block, metric="block", unit=""),
            Result(f"{name}_noise_gain", best.value, best.interval, metric=gain.metric, unit="points"),
        ]
    return rows


def _id(kind):
    return kind.replace(" ", "_")


def judged(
    grids: Mapping[str, Grid], found: Iterable[Gain], *, table: int = 5, seeds: Sequence[int] = ()
) -> list[Result]:
    """What the paper says of timesteps, of labels of each kind alone: that a middle one is best, and that a
    block has one peak.

    Parameters
    ----------
    grids : dict of kind to Grid
    found : what `probing.kinds.gains` made of them
    table : 5 or 6, which of the paper's tables stands beside
    seeds : noise seeds averaged over
    """
    rows = []
    for gain in found:
        best = Result(BETWEEN, gain.best, ends(gain.likely), metric="timestep", unit="")
        read = readings.between_ends(best, gain.timesteps)
        claim = next(claim for claim in CLAIMS if claim.id == BETWEEN)
        about = dict(metric=claim.measured(), paper=claims.published(claim, table), seeds=tuple(seeds))
        rows += [
            replace(best, what=claim.said(), draws=len(gain.likely), status=read.status, **about),
            claims.check(ONE_PEAK, grids[gain.kind], table=table, seeds=seeds),
        ]
        rows[-2:] = [_of_kind(result, gain.kind) for result in rows[-2:]]
    return rows


def _of_kind(result, kind):
    """A claim on images as one on labels of a kind alone, so that it counts as no data set of its own."""
    _, _, said = result.what.partition(": ")
    name = result.id.removeprefix("image_")
    return replace(result, id=f"image_{_id(kind)}_{name}", what=f"Labels of {kind}: {said}")


def statuses(tested: Iterable[Result]) -> str:
    """For which kinds a middle timestep is best, of what `judged` gives."""
    groups = {"reproduced": [], "inconclusive": [], "differs": []}
    for result in tested:
        if result.id.endswith(BETWEEN.removeprefix("image_")):
            kind = result.what.partition(": ")[0].removeprefix("Labels of ")
            groups[result.status].append(kind)
    said = "; ".join(f"{status} for {' and '.join(held)}" for status, held in groups.items() if held)
    return f"That a middle timestep is best, neither the least nor the most noise: {said}."


def beside(grids: Mapping[str, Grid], lowest: Mapping[str, Sequence[Floor]]) -> str:
    """How the best feature for labels of each kind compares with its floors: a sentence for each kind."""
    return " ".join(
        answers.beside(f"the best feature for labels of {kind}", grid.at_best, lowest[kind])
        for kind, grid in grids.items()
    )
