"""Numbers as a reader sees them, in tables, prose and figures alike.

A unit says how a number is read: "percent" is a fraction shown in %, "points" a difference of such fractions;
"count" and anything else are shown plainly.
"""

import math
from collections.abc import Sequence

SCALE = {"percent": 100, "points": 100}
MISSING = "–"


def decimals(unit: str, interval: Sequence[float] | None = None, rounding: float | None = None) -> int:
    """Digits after the point that a number of this unit deserves.

    As many as its interval's half-width needs for one digit, at least one for percentages and two otherwise;
    without an interval those of the paper's print, where `rounding` is half a unit of its last digit.
    """
    least = 1 if unit in SCALE else 2
    scale = SCALE.get(unit, 1)
    if interval is not None and interval[1] > interval[0]:
        return min(max(least, -math.floor(math.log10((interval[1] - interval[0]) / 2 * scale))), 4)
    if rounding:
        return max(0, -math.floor(math.log10(2.02 * rounding * scale)))
    return least


def show(value: float | str | None, unit: str = "", digits: int | None = None) -> str:
    """A number as text: 60.5%, +3.1 (points), 57,690, 0.43; text stays, nothing is a dash."""
    if value is None or isinstance(value, str) or math.isnan(value):
        return value if isinstance(value, str) else MISSING
    digits = decimals(unit) if digits is None else digits
    value = rounded(value, unit, digits) + 0.0 if isinstance(value, float) else value  # no minus before zero
    if unit == "percent":
        return f"{100 * value:.{digits}f}%"
    if unit == "points":
        return f"{100 * value:+.{digits}f}"
    if isinstance(value, int) or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.{digits}f}"


def show_interval(interval: Sequence[float] | None, unit: str = "", digits: int | None = None) -> str:
    """Both ends, the unit's sign left out: 59.8 to 61.2."""
    if interval is None:
        return MISSING
    return " to ".join(show(end, unit, digits).rstrip("%") for end in interval)


def show_difference(difference: float, unit: str = "", digits: int | None = None) -> str:
    """A difference with its sign; of percentages in points."""
    digits = decimals(unit) if digits is None else digits
    if unit in SCALE:
        return show(difference, "points", digits)
    return f"{'+' if difference > 0 else ''}{show(difference, unit, digits)}"


def rounded(value: float | str | None, unit: str = "", digits: int | None = None) -> float | str | None:
    """A number with exactly the digits that `show` prints; whole numbers and text stay."""
    if value is None or isinstance(value, str | int):
        return value
    digits = decimals(unit) if digits is None else digits
    return round(value, digits + (2 if unit in SCALE else 0))


def duration(seconds: float) -> str:
    """41 s, 3 min, 5.2 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
