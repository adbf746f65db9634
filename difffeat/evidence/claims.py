"""The paper's claims as tests on measured numbers, and which of a results file holds them.

Letters: R draws, T timesteps, B blocks. A notebook tests claims with `check`, adds other numbers as
`results.Result` and writes both with `results.record`; `show.tables` shows them.

The status of a claim is computed from the noise in the measurement (images resampled, and seeds):

- `reproduced`: the trend stands out from the noise, and nothing that contradicts it does,
- `differs`: something that contradicts the claim stands out from the noise,
- `inconclusive`: neither,
- `not run (needs ...)`: nobody has measured it here.

Some claims are judged from results that a page has recorded for their own sake, by where these and both ends
of their interval lie: see `readings`.

A number that is no trend is held against the paper's on the paper's data alone; elsewhere its status is
`other data`, and the paper's number stands beside it for orientation.

"Stands out" means: further than noise reached, over all the comparisons that the claim makes, in 95 % of
the draws. That share is called *support* for the trend, and *against* for the strongest contradiction. A
claim of many comparisons does not fail in every draw in which two equally good points change places: noise
does that in almost all draws, and it would refute every curve that has a flat stretch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims.claim import Claim, numbers
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import Page, Result, comparable, number_status
from difffeat.evidence.shapes import TooFewPoints
from difffeat.probing.scoring import name_of


def check(
    claim: str, *measured: object, table: int = 5, seeds: Sequence[int] = (), **options: object
) -> Result:
    """Test one of `CLAIMS` on measured numbers.

    Parameters
    ----------
    claim : str, the id of a claim
    *measured : what the claim compares, each an object with `values` and `draws` (a grid: (T, B) and
        (R, T, B), with `timesteps` and `blocks`), or a pair (values, draws) with one more axis,
        R, in front of draws

        | claims | measured | options |
        | --- | --- | --- |
        | image_*, text_falls_*, text_rises_* | one grid | depth, for image_best_in_middle |
        | text_deterministic_beats_random | the deterministic grid, the random one | |
        | fusion_beats_* | the fused mAP, what it is to beat: `stats.Measured`, or pairs (value, draws) | |
        | search_finds_best | one pair (values, draws) of all P pairs of the grid | chosen, the found one |

        Numbers of one draw must come from the same resampled images, as `stats.map_draws` gives them.
    table : 5 (MS-COCO-enhanced) or 6 (VG500), where the paper's number is taken from
    seeds : sequence of int, the seeds averaged over
    **options : see above

    Returns
    -------
    Result
        With the claim's status, the shares behind it, and the paper's number by the same test. Where the
        grid is too small to show the shape, the status says what it takes.

    Raises
    ------
    ValueError
        If there is no such claim, it is a number or one that reads results, draws do not fit the values, or a
        value is not finite.
    """
    claim = _claim(claim)
    if claim.test is None:
        raise ValueError(f"{claim.id} is a number, not a trend; record Result({claim.result!r}, ...)")
    if claim.reads:
        raise ValueError(f"{claim.id} is judged from results that a page records: {', '.join(claim.reads)}")
    arrays = [_checked(claim.id, numbers(given)) for given in measured]
    by = name_of(getattr(measured[0], "metric", "mAP"))
    about = dict(id=claim.id, what=claim.said(by), metric=claim.measured(by), unit=claim.unit)
    printed = published(claim, table)
    if by != name_of(claim.by):  # the paper's number is of another metric
        printed = printed._replace(value=None)
    about |= dict(paper=printed, seeds=tuple(seeds), draws=len(arrays[0].draws))
    try:
        verdict = claim.test(*arrays, **options)
    except TooFewPoints as needs:  # a page run on part of the grid still records what it did measure
        return Result(**about, value=None, status=f"not run (needs {needs})")
    return Result(
        **about,
        value=verdict.value,
        interval=verdict.interval,
        support=verdict.support,
        against=verdict.against,
        contradiction=verdict.contradiction,
        status=verdict.status,
    )


def _claim(name):
    known = {claim.id: claim for claim in CLAIMS}
    if name not in known:
        raise ValueError(f"unknown claim {name!r}; there are {', '.join(known)}")
    return known[name]


def _checked(name, given):
    """Measured numbers whose draws fit their values, all finite."""
    mean, draws = np.asarray(given.values), np.asarray(given.draws)
    if draws.shape[1:] != mean.shape or not len(draws):
        raise ValueError(f"{name}: values {mean.shape} need draws (R, ...) of them, got {draws.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(draws).all()):
        raise ValueError(f"{name}: a value or a draw is not finite; a claim needs every point of the grid")
    return given


def published(claim: Claim, table: int = 5) -> Published:
    """The paper's number: of a claim that is one, or that reads results, as it is printed; of a trend by the
    same test on the paper's numbers."""
    source = claim.source.replace("Table 5", f"Table {table}")
    dataset = claim.data or paper.DATASETS.get(table, "MS-COCO-enhanced")
    if claim.published is None:
        return Published(None, 0.0, source, dataset)
    if claim.test is None or claim.reads:
        return claim.published(table)
    return Published(claim.test(*claim.published(table)).value, 0.0, source, dataset)


def find(pages: Mapping[str, Page], claim: Claim) -> tuple[Page | None, Result | None]:
    """(page, result) of a claim; (None, None) where nobody has measured it, of a number on the same data.

    Raises
    ------
    ValueError
        If two pages measure it: a claim has one owner, for the table could show either.
    """
    wanted = claim.reads or (claim.id if claim.test else claim.result,)
    owners = [page for page in pages.values() if {*wanted} <= {result.id for result in page.results}]
    if claim.reads and len(owners) > 1:  # what a claim reads may stand elsewhere too
        owners = [page for page in owners if page.notebook in claim.needs] or owners
    if len(owners) > 1:
        names = " and ".join(page.notebook for page in owners)
        raise ValueError(f"{wanted[0]} is recorded by {names}: give one of them another id")
    if not owners:
        return None, None
    (page,) = owners
    if claim.reads:
        return _read(page, claim)
    result = page[wanted[0]]
    if claim.test:
        return page, result
    if not comparable(page.dataset, claim.published(5)):
        return None, None
    headline = replace(result, what=claim.said(), paper=claim.published(5), status="")
    return page, number_status(headline, page.dataset)


def _read(page, claim):
    """(page, result) of a claim about what a page recorded; of another data set than the claim's none."""
    printed = published(claim)
    if claim.data and not comparable(page.dataset, printed):
        return None, None
    found = claim.test(page)
    about = dict(what=claim.said(), metric=claim.measured(), unit=claim.unit, paper=printed)
    return page, Result(claim.id, found.value, found.interval, status=found.status, **about)
