"""Whether a run confirms the results that are stored."""

from pathlib import Path
from typing import NamedTuple

from difffeat.evidence.results import DIGITS, read_all


class Difference(NamedTuple):
    """One way in which two runs of a page disagree."""

    page: str
    id: str
    what: str
    stored: object
    measured: object
    tolerance: float | None = None

    def __str__(self) -> str:
        allowed = "" if self.tolerance is None else f" (tolerance {self.tolerance:.3g})"
        return f"{self.page}, {self.id}: {self.what} was {self.stored}, is {self.measured}{allowed}"


def differences(stored: Path | str, measured: Path | str, relative: float = 1e-3) -> list[Difference]:
    """Where the results of a run are not those that were stored.

    A value may move within its own stored interval's wider half: that is what the data leave open. A float
    without an interval may move by `relative` of itself. Counts, text and statuses must be the same.

    Parameters
    ----------
    stored, measured : folders of results files
    relative : float

    Returns
    -------
    list of Difference
        Empty where the run confirms what was stored.
    """
    pages, others = read_all(stored), read_all(measured)
    found = [
        Difference(name, "page", "its file", name in pages, name in others)
        for name in sorted(pages.keys() ^ others.keys())
    ]
    for name in sorted(pages.keys() & others.keys()):
        a, b = ({result.id: result for result in page[name].results} for page in (pages, others))
        found += [
            Difference(name, key, "the result", key in a, key in b) for key in sorted(a.keys() ^ b.keys())
        ]
        found += [gap for key in a if key in b for gap in _gaps(name, a[key], b[key], relative)]
    return found


def _gaps(page, a, b, relative):
    """What differs between the two versions of one result."""
    if a.status != b.status:
        yield Difference(page, a.id, "status", a.status, b.status)
    numbers = all(isinstance(value, float | int) for value in (a.value, b.value))
    tolerance = _tolerance(a, relative) if numbers else None
    if a.value != b.value and not (numbers and abs(a.value - b.value) <= tolerance):
        yield Difference(page, a.id, "value", a.value, b.value, tolerance)


def _tolerance(result, relative):
    """How far a value may move: as its interval says, else a share of a float, and not at all for a count."""
    if result.interval:
        rounding = 10.0**-DIGITS * abs(result.value)
        return max(result.interval[1] - result.value, result.value - result.interval[0], rounding)
    return relative * abs(result.value) if isinstance(result.value, float) else 0.0
