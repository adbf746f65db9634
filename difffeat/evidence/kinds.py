"""What noise helps, in words: the best timestep for labels of each kind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from difffeat.base.format import show, show_interval
from difffeat.evidence import answers, claims, readings
from difffeat.evidence.numbers import ends
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import Result
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.kinds import Gain, agree

BETWEEN = "image_best_between_ends"  # the claim about the best timestep; others are about all of a grid
OF_GRIDS = ("image_unimodal_in_timestep", "image_timestep_varies")


def words(found: list[Gain]) -> str:
    """A line for each kind, on what is best and which timesteps move it beyond noise; and whether they agree.

    Each timestep is told by its own 95 % interval: none is picked because it moves a kind most.
    """
    told = "\n".join(f"- {_told(gain)}" for gain in found)
    together = (
        "No timestep helps labels of one kind and hurts those of another beyond noise."
        if agree(found)
        else "The same noise helps labels of one kind and hurts those of another: one number over all labels "
        "hides it."
    )
    return f"{told}\n\n{together}"


def compared(found: Sequence[Gain], table: int = 5) -> str:
    """How far kinds part at the timestep that the paper's table prints as best, which no number here chose;
    nothing where it was not measured."""
    timestep = claims.published(_best_claim(), table).value
    if timestep not in found[0].timesteps[1:]:
        return ""
    parts = [_parted(*pair, timestep) for pair in combinations(found, 2)]
    return f"At t = {timestep}, the best of the paper's Table {table}: {'; '.join(parts)}."


def _parted(one, other, timestep):
    difference = one.at(timestep) - other.at(timestep)
    if difference.value < 0:
        return _parted(other, one, timestep)
    low, high = difference.interval
    size = f"{show(difference.value, 'points').lstrip('+')} points ({show_interval((low, high), 'points')})"
    if low <= 0:
        return f"labels of {one.kind} and {other.kind} are not told apart, {size}"
    return f"labels of {one.kind} gain {size} more than those of {other.kind}"


def _told(gain):
    said = (
        f"Labels of {gain.kind} are best at t = {gain.best} ({show_interval(ends(gain.likely))}), "
        f"in block {gain.block}."
    )
    moved = {timestep: gain.at(timestep) for timestep in gain.timesteps[1:]}
    gained = {timestep: one.value for timestep, one in moved.items() if one.interval[0] > 0}
    lost = {timestep: one.value for timestep, one in moved.items() if one.interval[1] < 0}
    parts = [f"they {verb} {_listed(some)}" for verb, some in (("gain", gained), ("lose", lost)) if some]
    lowest = gain.timesteps[0]
    if not parts:
        return f"{said} No timestep moves them from t = {lowest} beyond noise."
    return f"{said} Against t = {lowest}, {', and '.join(parts)}."


def _listed(moved):
    """ "1.2 points at t = 30, 2.0 at t = 50": how far each timestep moves them."""
    first, *more = [f"{show(abs(value), 'points').lstrip('+')}{{}} at t = {t}" for t, value in moved.items()]
    return ", ".join([first.format(" points"), *(one.format("") for one in more)])


def results(found: Iterable[Gain], modality: str = "image") -> list[Result]:
    """The best timestep of each kind, its block, and what each timestep has above the lowest, as results."""
    rows = []
    for gain in found:
        name = f"{modality}_{_id(gain.kind)}"
        rows += [
            Result(f"{name}_best_timestep", gain.best, ends(gain.likely), metric="timestep", unit=""),
            Result(f"{name}_best_block", gain.block, metric="block", unit=""),
            _gained(f"{name}_noise_gain", gain, gain.best),
            *(_gained(f"{name}_gain_t{one}", gain, one) for one in gain.timesteps[1:]),
        ]
    return rows


def _gained(name, gain, timestep):
    moved = gain.at(timestep)
    return Result(name, moved.value, moved.interval, metric=gain.metric, unit="points")


def _id(kind):
    return kind.replace(" ", "_")


def judged(
    grids: Mapping[str, Grid], found: Iterable[Gain], *, table: int = 5, seeds: Sequence[int] = ()
) -> list[Result]:
    """What the paper says of timesteps, of labels of each kind alone: that a middle one is best, that every
    block has one peak, and that it is not at the same timestep in all.

    Parameters
    ----------
    grids : dict of kind to Grid
    found : what `probing.kinds.gains` made of them
    table : 5 or 6, which of the paper's tables stands beside
    seeds : noise seeds averaged over
    """
    rows, claim = [], _best_claim()
    for gain in found:
        best = Result(BETWEEN, gain.best, ends(gain.likely), metric="timestep", unit="")
        read = readings.between_ends(best, gain.timesteps)
        about = dict(metric=claim.measured(), paper=claims.published(claim, table), seeds=tuple(seeds))
        tested = [replace(best, what=claim.said(), draws=len(gain.likely), status=read.status, **about)]
        tested += [claims.check(name, grids[gain.kind], table=table, seeds=seeds) for name in OF_GRIDS]
        rows += [_of_kind(result, gain.kind) for result in tested]
    return rows


def _best_claim():
    return next(claim for claim in CLAIMS if claim.id == BETWEEN)


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
    said = "; ".join(f"{status} for {', '.join(held)}" for status, held in groups.items() if held)
    return f"That a middle timestep is best, neither the least nor the most noise: {said}."


def beside(grids: Mapping[str, Grid], lowest: Mapping[str, Sequence[Floor]]) -> str:
    """How the best feature for labels of each kind compares with its floors: a line for each kind."""
    return "\n".join(
        f"- {answers.beside(f'the best feature for labels of {kind}', grid.at_best, lowest[kind])}"
        for kind, grid in grids.items()
    )
