"""What pages show as tables: paper beside ours, the claims, a mapping, heads, searches."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.backbones import weights_folder
from difffeat.base.format import MISSING, decimals, show, show_difference, show_interval
from difffeat.evidence.claims import find, published
from difffeat.evidence.numbers import result
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import PAPER_NAMES, Page, Result, comparable, read_all
from difffeat.probing.search import SearchResult
from difffeat.show.table import Table

NAMES = {name: printed[0] for name, printed in PAPER_NAMES.items()}  # data sets as the paper writes them
COLUMNS = ["claim", "status", "paper", "ours", "interval", "contradicted by", "metric", "source", "dataset"]


def compare(page: Page) -> Table:
    """The paper beside ours: a row for every claim of a page, and for every number that the paper has too.

    Parameters
    ----------
    page : Page, from `results.record`

    Returns
    -------
    Table
        Columns claim, status, paper, ours, interval, contradicted by, metric, source, dataset.
    """
    rows = [_row(page, result) for result in page.results if result.paper]
    return Table(pd.DataFrame(rows, columns=COLUMNS))


def claims(folder: Path | str, measured: bool = False) -> Table:
    """The claims page: every claim of the paper, from the results files of a profile alone.

    Parameters
    ----------
    folder : results folder of a profile, `p.results`
    measured : bool, leave out those that it has not measured

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
        page, result = find(pages, claim)
        if result is None:
            rows += [] if measured else [absent | _not_run(claim)]
            continue
        shares = [share for share in (result.support, result.against) if share is not None]
        written = " / ".join(show(share, "percent", 0) for share in shares) or MISSING
        rows.append(_row(page, result) | {"for / against": written})
        links[len(rows) - 1, "claim"] = f"{page.notebook}.html"
    return Table(pd.DataFrame(rows, columns=columns), links)


def counts(claims_table: Table) -> list[Result]:
    """How many claims have each status, as claims_reproduced, _differ, _inconclusive and _not_run.

    Parameters
    ----------
    claims_table : Table, from `claims`
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
    printed = published(claim)
    return {
        "claim": claim.said(),
        "source": claim.source,
        "dataset": printed.dataset,
        "metric": claim.measured(),
        "paper": shown(printed, claim.unit),
        "status": f"not run (needs {claim.needs})",
    }


def shown(printed: Published, unit: str) -> str:
    """A number of the paper as a table shows it, with the digits that are printed."""
    return show(printed.value, unit, decimals(unit, rounding=printed.rounding))


def heads(found: Mapping, others: Mapping[str, Sequence], labels: ArrayLike) -> Table:
    """What fusion heads reach beside what they are to beat, as a table: a row each, two columns for each
    input.

    Parameters
    ----------
    found : dict of (input, head) to pairs.Pair; a head need not be there for every input
    others : dict of input to list of Floor, in one order, whatever stands below the heads
    labels : array of shape (N, K), 0 or 1, of the training samples: a constant guess has a loss on them

    Returns
    -------
    Table
        mAP on test with its interval, and the training loss of the last epoch.
    """
    inputs = list(others)
    lines = []
    for name in dict.fromkeys(name for _, name in found):
        pairs = {kind: found.get((kind, name)) for kind in inputs}
        losses = {kind: f"{pair.losses[-1]:.3f}" if pair else MISSING for kind, pair in pairs.items()}
        lines.append(
            {"head": name}
            | _columns(inputs, [pair and pair.on_test for pair in pairs.values()])
            | {f"loss, {kind}": loss for kind, loss in losses.items()}
        )
    blank = {f"loss, {kind}": MISSING for kind in inputs}
    lines += [
        {"head": same[0].name} | _columns(inputs, [floor.measured for floor in same]) | blank
        for same in zip(*others.values(), strict=True)
    ]
    guess = f"{constant_loss(labels):.3f}"
    empty = {f"mAP, {kind}": MISSING for kind in inputs}
    lines.append({"head": "a constant guess"} | empty | {f"loss, {kind}": guess for kind in inputs})
    return rows(lines)


def _columns(inputs, numbers):
    """{mAP, input: value with interval} of one row; a dash where there is no number."""
    texts = [result("mAP", number).text if number else MISSING for number in numbers]
    return {f"mAP, {kind}": text for kind, text in zip(inputs, texts, strict=True)}


def constant_loss(labels: ArrayLike) -> float:
    """Binary cross-entropy of guessing each label's frequency: what a head has to get below."""
    share = np.clip(np.asarray(labels, dtype=float).mean(axis=0), 1e-12, 1 - 1e-12)
    return float(-(share * np.log(share) + (1 - share) * np.log1p(-share)).mean())


def listing(mapping: Mapping, *, name: str = "what", value: str = "value") -> Table:
    """A mapping as a table of two columns.

    Parameters
    ----------
    mapping : dict
    name, value : str, heads of the columns
    """
    rows = [
        (key, ", ".join(map(str, held)) if isinstance(held, list | tuple) else str(held))
        for key, held in mapping.items()
    ]
    return Table(pd.DataFrame(rows, columns=[name, value]))


def rows(found: Iterable[Mapping]) -> Table:
    """Rows as a table.

    Parameters
    ----------
    found : iterable of dicts of column to value, all with the same columns
    """
    return Table(pd.DataFrame([{name: str(value) for name, value in row.items()} for row in found]))


def card(name: str) -> Table:
    """The card of a shipped model: how it was trained, flat, as a table."""
    content = json.loads((weights_folder(name) / "card.json").read_text())
    return listing({**content.pop("options"), **content})


def searches(found: Mapping[str, SearchResult]) -> Table:
    """What several searches found and what they took, as a table.

    Parameters
    ----------
    found : dict of name to search.SearchResult
    """
    return rows(
        {
            "search": name,
            "image (timestep, block)": result.best_pair[0].label,
            "text (timestep, block)": result.best_pair[1].label,
            "mAP": show(result.value, "percent", 2),
            "evaluations": result.total,
        }
        for name, result in found.items()
    )
