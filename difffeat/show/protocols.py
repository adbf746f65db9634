"""Strips of statuses, one claim under many protocols, and the numbers behind them."""

from collections.abc import Mapping

import pandas as pd

from difffeat.show.table import Table


def strips(found: Mapping) -> Table:
    """One row a claim, one column a protocol, in each cell the mark of the status.

    Parameters
    ----------
    found : dict of Choice to what `protocols.Judge` returns

    Returns
    -------
    Table
    """
    first = next(iter(found.values()))
    rows = [
        {"claim": first[claim].what}
        | {choice.label: results[claim].status for choice, results in found.items()}
        for claim in first
    ]
    return Table(pd.DataFrame(rows), marks=tuple(choice.label for choice in found))


def numbers(found: Mapping) -> Table:
    """The table behind `strips`: the number of each claim with its interval, one row a claim.

    Parameters
    ----------
    found : as in `strips`
    """
    first = next(iter(found.values()))
    rows = [
        {"claim": first[claim].what, "number": first[claim].metric}
        | {choice.label: results[claim].text for choice, results in found.items()}
        for claim in first
    ]
    return Table(pd.DataFrame(rows))
