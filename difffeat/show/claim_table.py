"""Every claim in one table: what the paper says, and what each profile with results says to it.

The table stands whole in the page. A script makes the heads of its columns sort, and in the book
`book/static/claims.js` puts filters above it; without them nothing is hidden. The same rows are there to
download, as CSV and as JSON.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from copy import copy
from html import escape
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from difffeat.base.format import MISSING
from difffeat.evidence import across
from difffeat.evidence.claims import published
from difffeat.evidence.papers.listed import CLAIMS, PAPERS
from difffeat.evidence.results import Result, read_all
from difffeat.show import table, tables

FIXED = ["id", "claim", "part", "source", "metric", "paper"]
OF_PROFILE = ["ours", "interval", "status", "for / against", "paper", "contradicted by", "page"]
NOT_RUN = "not run"


def claim_table(folder: Path | str, stored: Path | str | None = None) -> "ClaimTable":
    """All claims beside all results there are.

    Parameters
    ----------
    folder : results folder of the run's own profile, `p.results`
    stored : folder of the results folders of other profiles, by default the project's

    Returns
    -------
    ClaimTable
        Without profiles that measure no claim, but for the run's own.
    """
    folders = across.folders(folder, stored)
    found = {name: tables.claims(held) for name, held in folders.items()}
    own = next(iter(folders))
    return ClaimTable(
        {name: told for name, told in found.items() if name == own or not _silent(told.frame["status"])},
        _data(folders),
    )


def _silent(statuses):
    """Whether statuses have none that was measured."""
    return statuses.str.startswith(NOT_RUN).all()


def _data(folders):
    """{profile: its data set as the paper or the profile writes it}."""
    pages = {name: read_all(found).values() for name, found in folders.items()}
    sets = {name: next((page.dataset for page in found), name) for name, found in pages.items()}
    return {name: tables.NAMES.get(dataset, dataset) for name, dataset in sets.items()}


class ClaimTable:
    """One row a claim; for each profile its number, interval, status and page.

    Attributes
    ----------
    frame : DataFrame of str
        Columns id, claim, part, source, metric, paper, and "<profile>: ours", ": interval", ": status",
        ": for / against", ": paper" (its own data set's), ": contradicted by", ": page" of each profile.
    profiles : list of str, the run's own first
    data : dict of profile to the name of its data set

    Parameters
    ----------
    found : dict of profile to Table, from `tables.claims`, the run's own first
    data : dict of profile to the name of its data set
    """

    def __init__(self, found: Mapping[str, table.Table], data: Mapping[str, str]) -> None:
        self.profiles, self.data = list(found), dict(data)
        rows = [
            _fixed(claim, row) | {f"{name}: {key}": found[name].frame[key][row] for name, key in _keys(found)}
            for row, claim in enumerate(CLAIMS)
        ]
        for row, cells in enumerate(rows):
            cells |= {f"{name}: page": held.links.get((row, "claim"), "") for name, held in found.items()}
        columns = [*FIXED, *(f"{name}: {key}" for name in found for key in OF_PROFILE)]
        self.frame = pd.DataFrame(rows, columns=columns)

    def of(self, paper: str) -> "ClaimTable":
        """The rows of one paper's claims, by its name in `papers.listed`; without profiles that measure none
        of them, but for the run's own."""
        part, named = copy(self), {claim.id for claim in PAPERS[paper]}
        frame = self.frame[self.frame["id"].isin(named)].reset_index(drop=True)
        silent = {name for name in self.profiles[1:] if _silent(frame[f"{name}: status"])}
        part.profiles = [name for name in self.profiles if name not in silent]
        part.frame = frame.drop(columns=[f"{name}: {key}" for name in silent for key in OF_PROFILE])
        return part

    @property
    def csv(self) -> str:
        """The table as CSV, with its heads."""
        return self.frame.to_csv(index=False, lineterminator="\n")

    @property
    def json(self) -> str:
        """The table as JSON: a list of one object a claim, keys as the heads of the CSV, without those of
        other profiles that did not run it."""
        rows = [self._told(row) for row in self.frame.to_dict("records")]
        return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))

    def _told(self, row):
        """A row without what profiles that did not run its claim leave empty."""
        silent = {name for name in self.profiles[1:] if row[f"{name}: status"].startswith(NOT_RUN)}
        return {key: value for key, value in row.items() if key.partition(": ")[0] not in silent}

    @property
    def counts(self) -> list[Result]:
        """How many claims have each status in the run's own profile, see `tables.counts`; how many there are;
        and how many of those not run there another profile has measured, as claims_elsewhere."""
        own, *others = (self.frame[f"{name}: status"].str.startswith(NOT_RUN) for name in self.profiles)
        elsewhere = sum(own & ~pd.concat(others, axis=1).all(axis=1)) if others else 0
        of_all = {"claims_total": len(self.frame), "claims_elsewhere": int(elsewhere)}
        statuses = self.frame.rename(columns={f"{self.profiles[0]}: status": "status"})
        return [
            *tables.counts(table.Table(statuses)),
            *(Result(name, count, unit="count", metric="claims") for name, count in of_all.items()),
        ]

    def __repr__(self) -> str:
        shown = ["claim", *(f"{name}: status" for name in self.profiles)]
        return self.frame[shown].to_string(index=False)

    def _repr_html_(self):
        heads = ["claim", "part", "source", "paper", *map(self._head, self.profiles)]
        head = "".join(f'<th scope="col">{name}</th>' for name in heads)
        rows = "".join(self._row(cells) for cells in self.frame.to_dict("records"))
        return (
            f'<div class="difffeat-claims">{self._downloads()}'
            '<p class="cue" hidden>The table goes on to the right: scroll it sideways →</p>'
            '<div class="scroll" role="region" tabindex="0" aria-label="All claims, a wide table">'
            '<table class="difffeat table"><caption>Every claim, and what each data set says to it</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{table.SORT}</div>"
        )

    def _head(self, name):
        data = "" if self.data[name] == name else f" ({escape(self.data[name])})"
        return f"<span>{escape(name)}{data}</span>"

    def _downloads(self):
        """Links that hold the files themselves: a page that is opened from a disk gives them too."""
        kinds = {"csv": ("text/csv", self.csv), "json": ("application/json", self.json)}
        links = (
            f'<a download="claims-{quote(self.profiles[0])}.{kind}" '
            f'href="data:{mime};charset=utf-8;base64,{b64encode(text.encode()).decode()}">{kind.upper()}</a>'
            for kind, (mime, text) in kinds.items()
        )
        return f'<p class="downloads">Download all rows: {", ".join(links)}</p>'

    def _row(self, cells):
        """One claim; what it is sorted and filtered by stands in attributes."""
        claim = f'<a href="../cards.html#{cells["id"]}">{escape(cells["claim"])}</a>'  # in the book alone
        lead = (
            f'<th scope="row">{claim}<small>{escape(cells["metric"])}</small></th>'
            f'<td data-label="part">{escape(cells["part"])}</td>'
            f'<td data-label="source">{escape(cells["source"])}</td>'
            f'<td data-label="paper"{_order(cells["paper"])}>{escape(cells["paper"])}</td>'
        )
        ran = any(not cells[f"{name}: status"].startswith(NOT_RUN) for name in self.profiles)
        of_profiles = "".join(
            _cell(name, cells, told=place == 0 and not ran) for place, name in enumerate(self.profiles)
        )
        part = escape(cells["part"])
        return f'<tr id="claim-{cells["id"]}" data-part="{part}">{lead}{of_profiles}</tr>'


def _keys(found):
    """(profile, column) of what `tables.claims` says for each."""
    return [(name, key) for name in found for key in OF_PROFILE if key != "page"]


def _fixed(claim, row):
    """What a row says whatever was measured."""
    return {
        "id": claim.id,
        "claim": claim.said(),
        "part": claim.part,
        "source": claim.source,
        "metric": claim.measured(),
        "paper": tables.shown(published(claim), claim.unit),
    }


def _order(text):
    """The attribute that a cell is sorted by, of a text that starts with a number; nothing of any other."""
    number = text.strip("%+").replace(",", "")
    try:
        return f' data-order="{float(number):g}"'
    except ValueError:
        return ""


def _cell(name, cells, told):
    """What one profile says: status, number and interval; of a claim that nobody ran, what it needs."""
    held = {key: cells[f"{name}: {key}"] for key in OF_PROFILE}
    word = next((word for word in table.MARKS if held["status"].startswith(word)), NOT_RUN)
    if word == NOT_RUN:
        shown = (
            table.badge(held["status"], word) if told else f'<span title="{NOT_RUN} here">{MISSING}</span>'
        )
    else:
        shown = (
            f'<a href="{escape(held["page"])}">{table.badge(held["status"], word)}</a>{_number(cells, held)}'
        )
    label, order = escape(name), list(table.MARKS).index(word)
    attributes = f'data-label="{label}" data-profile="{label}" data-status="{word}" data-order="{order}"'
    return f"<td {attributes}>{shown}</td>"


def _number(cells, held):
    """The number with its interval, the shares behind it, and what is against it where that decides."""
    interval = "" if held["interval"] == MISSING else f" ({held['interval']})"
    more = [] if held["for / against"] == MISSING else [f"for / against {held['for / against']}"]
    more += [f"paper {held['paper']}"] if held["paper"] not in (cells["paper"], MISSING) else []
    more += [f"against it: {held['contradicted by']}"] if held["contradicted by"] != MISSING else []
    small = "".join(f"<small>{escape(line)}</small>" for line in more)
    return f"<div><b>{escape(held['ours'])}</b>{escape(interval)}</div>{small}"
