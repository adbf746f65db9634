"""What noise helps, in words: the best timestep for labels of each kind."""

from collections.abc import Iterable

from difffeat.base.format import show, show_interval
from difffeat.evidence.results import Result
from difffeat.probing.kinds import Gain, agree


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
    lowest = gain.timesteps[0]
    if gain.best == lowest:
        highest = gain.at(gain.timesteps[-1])
        return (
            f"Labels of {gain.kind} are best at t = {lowest}, and lose "
            f"{show(-highest.value, 'points').lstrip('+')} points by t = {gain.timesteps[-1]}."
        )
    best = gain.at(gain.best)
    return (
        f"Labels of {gain.kind} are best at t = {gain.best}, {show(best.value, 'points')} points "
        f"({show_interval(best.interval, 'points')}) from t = {lowest}."
    )


def results(found: Iterable[Gain], modality: str = "image") -> list[Result]:
    """The best timestep of each kind, its block, and what it has above the lowest timestep, as results."""
    rows = []
    for gain in found:
        name, best = f"{modality}_{gain.kind.replace(' ', '_')}", gain.at(gain.best)
        rows += [
            Result(f"{name}_best_timestep", gain.best, metric="timestep", unit=""),
            Result(f"{name}_best_block", gain.block, metric="block", unit=""),
            Result(f"{name}_noise_gain", best.value, best.interval, metric=gain.metric, unit="points"),
        ]
    return rows
