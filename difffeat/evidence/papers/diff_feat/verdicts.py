"""What a check of printed numbers says, and in which words."""

from typing import NamedTuple

HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be told"
DIGIT = 0.5e-4  # half a unit of the last digit of Tables 5 and 6, as a fraction
SLACK = 1 + 1e-6  # of comparisons of decimal fractions


class Check(NamedTuple):
    """One check of the paper's numbers.

    `what` is checked, `source` is where in the paper and `said` what it says there. `verdict` is one of
    `HOLDS`, `FAILS` and `UNKNOWN`, `given` what the tables give, with what decides the verdict.
    """

    what: str
    source: str
    said: str
    verdict: str
    given: str


def verdict(holds: bool) -> str:
    """`HOLDS` or `FAILS`."""
    return HOLDS if holds else FAILS


def among(found: int, total: int, of: str) -> str:
    """ "all 65 rows", "64 of 65 rows", "none of 65 rows"."""
    if found == total > 1:
        return f"all {total} {of}"
    return f"{found or 'none'} of {total} {of}"
