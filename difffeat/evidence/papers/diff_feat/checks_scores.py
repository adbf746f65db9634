"""F1 in the paper's tables: which of its columns follow from which, and what CF1 means in each table."""

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.verdicts import DIGIT, SLACK, UNKNOWN, Check, among, verdict


def of_scores() -> list[Check]:
    """Every check of a printed F1."""
    checks = [overall_f1(number) for number in (1, 5, 6)]
    checks += [check(number) for number in (5, 6) for check in (harmonic_f1, macro_f1)]
    return [*checks, other_rows_f1()]


def overall_f1(number: int) -> Check:
    """Whether OF1 is the harmonic mean of OP and OR in every row of Table 1, 5 or 6."""
    rows = paper.table(number)
    rows = rows[rows.OP.notna()]
    off = np.abs(harmonic(rows.OP, rows.OR) - rows.OF1)
    wrong = rows[off > reach(rows.OP, rows.OR, number) * SLACK]
    given = f"{among(len(rows) - len(wrong), len(rows), 'rows')}, at most {100 * off.max():.3f} points off"
    said = "OF1 is the harmonic mean of OP and OR (by its definition)"
    return Check(
        f"OF1 from OP and OR, Table {number}", f"Table {number}", said, verdict(not len(wrong)), given
    )


def harmonic(precision: ArrayLike, recall: ArrayLike) -> ArrayLike:
    """2 P R / (P + R)."""
    return 2 * precision * recall / (precision + recall)


def reach(precision: ArrayLike, recall: ArrayLike, number: int) -> ArrayLike:
    """How far the harmonic mean of two printed numbers may be from a third one by rounding alone."""
    digit = DIGIT * (10 if number == 1 else 1)
    return digit * (1 + 2 * (precision**2 + recall**2) / (precision + recall) ** 2)


def harmonic_f1(number: int) -> Check:
    """Whether CF1 can be the harmonic mean of CP and CR, as the field has it, in all rows of Table 5 or 6."""
    rows = paper.table(number)
    off = harmonic(rows.CP, rows.CR) - rows.CF1
    fits = np.abs(off) <= reach(rows.CP, rows.CR, number) * SLACK
    worst = rows.loc[np.abs(off).idxmax()]
    given = (
        f"{among(fits.sum(), len(rows), 'rows')}; furthest off: CP {show(worst.CP, 'percent', 2)} and CR "
        f"{show(worst.CR, 'percent', 2)} give {show(harmonic(worst.CP, worst.CR), 'percent', 2)}, printed is "
        f"{show(worst.CF1, 'percent', 2)}"
    )
    said = "not stated; in the papers that it compares with, CF1 is the harmonic mean of CP and CR"
    return Check(f"CF1 is harmonic, Table {number}", f"Table {number}", said, verdict(fits.all()), given)


def macro_f1(number: int) -> Check:
    """Whether CF1 can be the mean of the F1 of each class: F1 is concave in precision and recall, so that
    mean is never above the harmonic mean of CP and CR. More cannot be told without the classes."""
    rows = paper.table(number)
    above = rows.CF1 - harmonic(rows.CP, rows.CR) > reach(rows.CP, rows.CR, number) * SLACK
    given = (
        f"{among(len(rows) - above.sum(), len(rows), 'rows')} lie where it can be; the F1 of each class, "
        "which would decide, is not printed"
    )
    said = "not stated; the mean over classes of each class's F1 cannot be above the harmonic mean"
    found = verdict(False) if above.any() else UNKNOWN
    return Check(f"CF1 is the mean over classes, Table {number}", f"Table {number}", said, found, given)


def other_rows_f1() -> Check:
    """Whether CF1 means the same in all rows of Table 1: which of them are no harmonic mean of CP and CR."""
    rows = paper.table(1)
    rows = rows[rows.CP.notna()]
    off = np.abs(harmonic(rows.CP, rows.CR) - rows.CF1) > reach(rows.CP, rows.CR, 1) * SLACK
    named = "; ".join(
        f"{row.method} ({show(row.CF1, 'percent')}, harmonic {show(harmonic(row.CP, row.CR), 'percent')})"
        for row in rows[off].itertuples()
    )
    given = f"{among((~off).sum(), len(rows), 'rows')} fit the harmonic mean" + (
        f"; not: {named}" if named else ""
    )
    said = "CF1 of all methods stands in one column"
    return Check("CF1 means one thing in Table 1", "Table 1", said, verdict(not off.any()), given)
