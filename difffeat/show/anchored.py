"""A table whose rows can be linked to: the page of open choices."""

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

from difffeat.base.format import MISSING
from difffeat.show.table import Table


class Anchored(Table):
    """A `Table` with an id on some of its rows.

    Attributes
    ----------
    frame, links : as of a `Table`
    ids : a str for each row, empty for one that has none
    """

    def __init__(self, frame: pd.DataFrame, links: Mapping[tuple, str], ids: Sequence[str]) -> None:
        super().__init__(frame, links)
        self.ids = ids

    def _repr_html_(self):
        head, body = super()._repr_html_().split("<tbody>")
        first, *rest = body.split("<tr>")
        rows = [
            f'<tr id="{escape(name)}">{row}' if name else f"<tr>{row}"
            for name, row in zip(self.ids, rest, strict=True)
        ]
        return f"{head}<tbody>{first}{''.join(rows)}"


def choices(found: Sequence[Mapping]) -> Anchored:
    """Rows of `open_choices.rows` as a table: an entry links to where it is described, a page to itself.

    Parameters
    ----------
    found : sequence of dicts

    Returns
    -------
    Anchored
        The first row of an entry has the entry's anchor.
    """
    links, ids, seen = {}, [], set()
    for place, row in enumerate(found):
        entry = row["entry"]
        links[place, "entry"] = f"../deviations.html#{entry.label}"
        if row["page"] != MISSING:
            links[place, "page"] = f"{row['page']}.html"
        ids.append("" if entry.label in seen else entry.anchor)
        seen.add(entry.label)
    frame = pd.DataFrame([{**row, "entry": row["entry"].name} for row in found])
    return Anchored(frame, links, ids)
