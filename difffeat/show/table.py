"""A table of text that a page shows: HTML that reads in light and dark, and plain text."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

# Makes the heads of the table beside it sort; part of what is shown, so that notebooks have it too.
SORT = f"<script>{Path(__file__).with_name('sort.js').read_text(encoding='utf-8')}</script>"

# Mark as well as colour; backgrounds are opaque, so that the text reads on light and dark pages alike.
MARKS = {
    "reproduced": ("✓", "#d5efe5"),
    "differs": ("✗", "#f8dcc8"),
    "inconclusive": ("?", "#f6ecc4"),
    "not run": ("–", "#e4e4e4"),
    "other data": ("·", "#e4e4e4"),
    "holds": ("✓", "#d5efe5"),
    "does not hold": ("✗", "#f8dcc8"),
    "cannot be told": ("?", "#f6ecc4"),
}


class Table:
    """Rows of text, some cells of them links or a status.

    Attributes
    ----------
    frame : DataFrame of str; the columns `status` and `verdict` show a mark as well as the words
    links : dict of (row, column) to address, optional
    marks : names of columns that hold a status and show its mark alone
    """

    def __init__(
        self, frame: pd.DataFrame, links: Mapping[tuple, str] | None = None, marks: Sequence[str] = ()
    ) -> None:
        self.frame = frame
        self.links = links or {}
        self.marks = marks

    def __repr__(self) -> str:
        return "(empty)" if self.frame.empty else self.frame.to_string(index=False)

    def _repr_html_(self):
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in self.frame)
        rows = "".join(
            f"<tr>{''.join(self._cell(row, name, text) for name, text in cells.items())}</tr>"
            for row, cells in enumerate(self.frame.to_dict("records"))
        )
        return (
            '<div style="overflow-x: auto"><table class="difffeat table" style="font-size: 0.85em">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )

    def _cell(self, row, name, text):
        shown = escape(text)
        if name in self.marks:
            return _mark(text)
        if name in ("status", "verdict") and text:
            shown = badge(text, next((word for word in MARKS if text.startswith(word)), "not run"))
        if (row, name) in self.links:
            shown = f'<a href="{escape(self.links[row, name])}">{shown}</a>'
        return f"<td>{shown}</td>"


def badge(text: str, word: str) -> str:
    """A status as HTML: its text on the ground of its word, with its mark.

    Parameters
    ----------
    text : str
    word : a key of `MARKS`
    """
    mark, ground = MARKS[word]
    style = (
        f"background: {ground}; color: #1a1a1a; padding: 0.1em 0.4em; border-radius: 0.25em; "
        "display: inline-block; overflow-wrap: anywhere; min-width: 7.5em"
    )
    return f'<span style="{style}"><span aria-hidden="true">{mark} </span>{escape(text)}</span>'


def _mark(status):
    """A cell with the mark of a status, which screen readers read in full."""
    mark, ground = MARKS[next((word for word in MARKS if status.startswith(word)), "not run")]
    style = f"background: {ground}; color: #1a1a1a; text-align: center"
    return f'<td style="{style}" title="{escape(status)}" aria-label="{escape(status)}">{mark}</td>'
