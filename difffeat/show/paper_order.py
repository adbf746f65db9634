"""The paper in its own order: each table and figure and the algorithm, its numbers, and what the book has."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

import pandas as pd

from difffeat.base.format import MISSING, show
from difffeat.evidence import across
from difffeat.evidence.claims import find, published
from difffeat.evidence.papers.diff_feat import contents
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import read_all
from difffeat.show import beside, cards, table, tables


def paper_order(
    folder: Path | str, titles: Mapping[str, str], stored: Path | str | None = None
) -> dict[str, str]:
    """{name of a table, figure or the algorithm: what stands under it, as HTML}, in the paper's order.

    Parameters
    ----------
    folder : results folder of the run's own profile
    titles : dict of notebook to the title of its page
    stored : folder of the results folders of other profiles, by default the project's
    """
    held = {name: read_all(path) for name, path in across.folders(folder, stored).items()}
    return {item.name: _shown(item, held, titles) for item in contents.items()}


def _shown(item, held, titles):
    """What it shows, the pages about it, the printed numbers folded, and ours."""
    links = ", ".join(cards.link_to(page, titles) for page in item.pages)
    first = f"{item.shows[0].upper()}{item.shows[1:]}."
    about = (
        f"<p>{escape(first)} {f'In the book: {links}.' if links else 'No page of the book is about it.'}</p>"
    )
    return f"{about}{_printed(item)}{_ours(item, held)}{_takes(item)}"


def _printed(item):
    """The printed numbers: as a table where the paper has one, drawn where it has maps or bars of one."""
    if not item.numbers:
        return "<p>The paper draws it and prints no numbers.</p>"
    if "pairs" in item.numbers:
        number = item.numbers["pairs"]
        found = beside.draw_pairs({f"paper, Table {number}": paper.pairs(number)})
    elif "maps" in item.numbers:
        kinds = [(item.numbers["table"], item.numbers["maps"], metric) for metric in beside.PRINTED]
        found = beside.draw([beside.printed(*kind) for kind in kinds])
    else:
        found = table.Table(_written(paper.table(item.numbers["table"])))
    return f"<details><summary>The published numbers</summary>{found._repr_html_()}</details>"


def _written(frame):
    """A printed table with percentages as percentages, and a dash where print has nothing."""
    cells = {name: [_cell(held, name) for held in frame[name]] for name in frame.columns}
    return pd.DataFrame(cells)


def _cell(held, name):
    if pd.isna(held):
        return MISSING
    if name in paper.PERCENTAGES:
        return show(float(held), "percent", 2)
    return f"{held:g}" if isinstance(held, float) else str(held)


def _ours(item, held):
    """The claims that rest on it: the paper's number, and what each data set says."""
    rows, links = [], {}
    for claim in item.rests():
        found = {name: find(pages, claim)[1] for name, pages in held.items()}
        told = [
            f"{name}: {result.status}" + ("" if result.value is None else f", {result.text}")
            for name, result in found.items()
            if result is not None
        ]
        links[len(rows), "claim"] = f"cards.html#{claim.id}"
        rows.append(
            {
                "claim": claim.said(),
                "paper": tables.shown(published(claim), claim.unit),
                "here": "; ".join(told) or f"not run (needs {claim.needs})",
            }
        )
    return table.Table(pd.DataFrame(rows), links)._repr_html_() if rows else ""


def _takes(item):
    """What measures it on the paper's own data."""
    if not item.profile:
        return ""
    name, plan = (f"<code>{said}</code>" for said in (item.profile, f"make plan PROFILE={item.profile}"))
    return f"<p>On the paper's own data: a run of the profile {name}. {plan} says what it takes.</p>"
