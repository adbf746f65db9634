"""The paper's claims as tests on measured numbers, results files, and tables of paper beside ours.

Letters: R draws, T timesteps, B blocks. A notebook tests claims with `check`, adds other numbers as
`Result`, writes both with `record` and shows them with `compare`. The claims page is `table`, made from the
files alone.

The status of a claim is computed from the noise in the measurement (images resampled, and seeds):

- `reproduced`: the trend stands out from the noise, and nothing that contradicts it does,
- `differs`: something that contradicts the claim stands out from the noise,
- `inconclusive`: neither,
- `not run (needs ...)`: nobody has measured it here.

A number that is no trend is held against the paper's on the paper's data alone; elsewhere its status is
`other data`, and the paper's number stands beside it for orientation.

"Stands out" means: further than noise reached, over all the comparisons that the claim makes, in 95 % of
the draws. That share is called *support* for the trend, and *against* for the strongest contradiction. A
claim of many comparisons does not fail in every draw in which two equally good points change places: noise
does that in almost all draws, and it would refute every curve that has a flat stretch.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from difffeat.base.format import MISSING, decimals, show, show_difference, show_interval
from difffeat.evidence.differences import Difference, differences
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.claims import CLAIMS, Claim, numbers
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.results import (
    Page,
    Result,
    cache_id,
    comparable,
    number_status,
    read,
    read_all,
    record,
)
from difffeat.evidence.shapes import TooFewPoints, Verdict
from difffeat.probing.measures import measure
from difffeat.show.table import Table

__all__ = [
    "CLAIMS",
    "Claim",
    "Difference",
    "Page",
    "Result",
    "Table",
    "Verdict",
    "cache_id",
    "check",
    "compare",
    "counts",
    "differences",
    "read",
    "record",
    "table",
]
NAMES = {"coco": "MS-COCO", "vg500": "VG500", "ag_news": "AG News"}  # data sets as the paper writes them
COLUMNS = ["claim", "status", "paper", "ours", "interval", "contradicted by", "metric", "source", "dataset"]


def check(claim, *measured, table=5, seeds=(), **options) -> Result:
    """Test one of `CLAIMS` on measured numbers.

    Parameters
    ----------
    claim : str, the id of a claim
    *measured : what the claim compares, each an object with `mean` and `draws` (a grid: (T, B) and (R, T, B),
        with `timesteps` and `blocks`), or a pair (values, draws) with one more axis, R, in front of draws

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
        If there is no such claim or it is a number, draws do not fit the values, or a value is not finite.
    """
    claim = _claim(claim)
    if claim.test is None:
        raise ValueError(f"{claim.id} is a number, not a trend; record Result({claim.result!r}, ...)")
    arrays = [_checked(claim.id, numbers(given)) for given in measured]
    by = measure(getattr(measured[0], "metric", "mAP")).name
    text, metric = (said.replace("mAP", by) for said in (claim.text, claim.metric))
    about = dict(id=claim.id, what=text, metric=metric, unit=claim.unit)
    published = _published(claim, table)
    if metric != claim.metric:  # the paper's number is of mAP
        published = published._replace(value=None)
    about |= dict(paper=published, seeds=tuple(seeds), draws=len(arrays[0].draws))
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


def compare(page) -> Table:
    """The paper beside ours: a row for every claim of a page, and for every number that the paper has too.

    Parameters
    ----------
    page : Page, from `record`

    Returns
    -------
    Table
        Columns claim, status, paper, ours, interval, contradicted by, metric, source, dataset.
    """
    rows = [_row(page, result) for result in page.results if result.paper]
    return Table(pd.DataFrame(rows, columns=COLUMNS))


def table(folder) -> Table:
    """The claims page: every claim of the paper, from the results files of a profile alone.

    Parameters
    ----------
    folder : results folder of a profile, `p.results`

    Returns
    -------
    Table
        As `compare`, with the shares for and against in one column; a claim links to the page that shows it.
    """
    pages = read_all(folder)
    columns = [*COLUMNS[:5], "for / against", *COLUMNS[5:]]
    absent = dict.fromkeys(columns, MISSING)
    rows, links = [], {}
    for claim in CLAIMS:
        page, result = _find(pages, claim)
        if result is None:
            rows.append(absent | _not_run(claim))
            continue
        shares = [share for share in (result.support, result.against) if share is not None]
        written = " / ".join(show(share, "percent", 0) for share in shares) or MISSING
        rows.append(_row(page, result) | {"for / against": written})
        links[len(rows) - 1, "claim"] = f"{page.notebook}.html"
    return Table(pd.DataFrame(rows, columns=columns), links)


def counts(claims_table) -> list[Result]:
    """How many claims have each status, as claims_reproduced, _differ, _inconclusive and _not_run.

    Parameters
    ----------
    claims_table : Table, from `table`
    """
    words = {
        "reproduced": "reproduced",
        "differ": "differs",
        "inconclusive": "inconclusive",
        "not_run": "not run",
    }
    status = claims_table.frame["status"].str
    return [
        Result(f"claims_{name}", int(status.startswith(word).sum()), unit="count", metric="claims")
        for name, word in words.items()
    ]


def _claim(name):
    known = {claim.id: claim for claim in CLAIMS}
    if name not in known:
        raise ValueError(f"unknown claim {name!r}; there are {', '.join(known)}")
    return known[name]


def _checked(name, given):
    """Measured numbers whose draws fit their values, all finite."""
    mean, draws = np.asarray(given.mean), np.asarray(given.draws)
    if draws.shape[1:] != mean.shape or not len(draws):
        raise ValueError(f"{name}: values {mean.shape} need draws (R, ...) of them, got {draws.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(draws).all()):
        raise ValueError(f"{name}: a value or a draw is not finite; a claim needs every point of the grid")
    return given


def _published(claim, table):
    """The paper's number for a trend, by the same test on the paper's own numbers."""
    source = claim.source.replace("Table 5", f"Table {table}")
    dataset = paper.DATASETS.get(table, "MS-COCO-enhanced")
    if claim.published is None:
        return Published(None, 0.0, source, dataset)
    return Published(claim.test(*claim.published(table)).value, 0.0, source, dataset)


def _find(pages, claim):
    """(page, result) of a claim; of a claim that is a number only where it was measured on the same data.

    A claim has one owner: two pages that measure it are an error, for the table could show either.
    """
    found = [
        (page, result)
        for page in pages.values()
        for result in page.results
        if result.id == (claim.id if claim.test else claim.result)
    ]
    if len(found) > 1:
        owners = " and ".join(page.notebook for page, _ in found)
        raise ValueError(f"{found[0][1].id} is recorded by {owners}: give one of them another id")
    if not found or claim.test:
        return found[0] if found else (None, None)
    page, result = found[0]
    if not comparable(page.dataset, claim.published(5)):
        return None, None
    headline = replace(result, what=claim.text, paper=claim.published(5), status="")
    return page, number_status(headline, page.dataset)


def _row(page, result):
    """One row of paper beside ours."""
    ours, digits = NAMES.get(page.dataset, page.dataset), result.digits
    published = result.paper
    printed = decimals(result.unit, rounding=published.rounding) if published.rounding else digits
    same = comparable(page.dataset, published)
    return {
        "claim": result.what,
        "source": published.source,
        "dataset": published.dataset if same else f"{ours} (paper: {published.dataset})",
        "metric": result.metric,
        "paper": show(published.value, result.unit, printed),
        "ours": show(result.value, result.unit, digits),
        "interval": show_interval(result.interval, result.unit, digits),
        "contradicted by": _against(result),
        "status": result.status,
    }


def _against(result):
    """What contradicts a claim that differs, in words and numbers; of a number of the same data, the
    difference."""
    if result.contradiction and result.status == "differs":
        return result.contradiction.text
    numbers = not isinstance(result.paper.value, str | None) and not isinstance(result.value, str | None)
    if result.status == "differs" and numbers and result.support is None:
        difference = result.value - result.paper.value
        return f"the difference, {show_difference(difference, result.unit, result.digits)}"
    return MISSING


def _not_run(claim):
    """The row of a claim that no page of this profile has measured."""
    published = claim.published(5) if claim.test is None else _published(claim, 5)
    digits = decimals(claim.unit, rounding=published.rounding)
    return {
        "claim": claim.text,
        "source": claim.source,
        "dataset": published.dataset,
        "metric": claim.metric,
        "paper": show(published.value, claim.unit, digits),
        "status": f"not run (needs {claim.needs})",
    }
