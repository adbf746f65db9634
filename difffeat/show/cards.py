"""Evidence cards: all that there is to one claim on one card, with an address of its own.

What the paper says, its number, ours on each data set with its interval, what contradicts it, what it comes
to under other protocols, what would change its status, and which page and command make it.
"""

from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from difffeat.base.format import MISSING, show
from difffeat.evidence import across
from difffeat.evidence.claims import find, published
from difffeat.evidence.papers.diff_feat import contents
from difffeat.evidence.papers.diff_feat.claims import Claim
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import Page, Result, read_all
from difffeat.evidence.shapes import LEVEL
from difffeat.show import table, tables

PROTOCOLS = "32_protocol"  # the page whose details hold statuses under other protocols
WRITTEN = show(LEVEL, "percent", 0)


def cards(folder: Path | str, titles: Mapping[str, str], stored: Path | str | None = None) -> dict[str, str]:
    """{part of the paper's message: its claims as HTML, a card each}.

    Parameters
    ----------
    folder : results folder of the run's own profile
    titles : dict of notebook to the title of its page
    stored : folder of the results folders of other profiles, by default the project's
    """
    held = {name: read_all(path) for name, path in across.folders(folder, stored).items()}
    strips = _strips(next(iter(held.values())))
    found = {}
    for claim in CLAIMS:
        measured = {name: find(pages, claim) for name, pages in held.items()}
        measured = {name: pair for name, pair in measured.items() if pair[1] is not None}
        found.setdefault(claim.part, []).append(card(claim, measured, titles, strips.get(claim.id, ())))
    return {part: "\n".join(shown) for part, shown in found.items()}


def _strips(pages):
    """{id of a claim: [(axis, name, status), ...]} of the page on protocols; nothing where it has not run."""
    details = pages[PROTOCOLS].details if PROTOCOLS in pages else ()
    found = {}
    for choice in details:
        for claim, result in choice["claims"].items():
            found.setdefault(claim, []).append((choice["axis"], choice["name"], result["status"]))
    return found


def card(
    claim: Claim,
    measured: Mapping[str, tuple[Page, Result]],
    titles: Mapping[str, str],
    strip: Iterable[tuple],
) -> str:
    """The card of one claim.

    Parameters
    ----------
    claim : Claim
    measured : dict of profile to (page, result), of those that measured it, the run's own first
    titles : dict of notebook to the title of its page
    strip : iterable of (axis, value, status) under other protocols
    """
    said = contents.sentences().get(claim.id)
    quote = f"<blockquote>“{escape(said)}”</blockquote>" if said else ""
    rows = [("The paper", quote + _paper(claim))]
    rows += [(f"On {name}", _ours(page, result, titles)) for name, (page, result) in measured.items()]
    rows += [] if measured else [("Here", _status(f"not run (needs {claim.needs})"))]
    rows += [("Under other protocols", _strip(strip))] if strip else []
    rows += [
        ("What would change this", escape(turning(claim, next(iter(measured.values()), (None, None))[1])))
    ]
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{held}</dd>" for name, held in rows)
    head = f'<a href="#{claim.id}">{escape(claim.said())}</a>'
    return f'<article class="claim" id="{claim.id}"><h3>{head}</h3><dl>{listed}</dl></article>'


def _paper(claim):
    """Where the paper makes a claim, and its number on each data set that its tables print."""
    numbers = {}
    for number in (5, 6):
        printed = published(claim, number)
        numbers[printed.dataset] = tables.shown(printed, claim.unit)
    known = "; ".join(f"{value} on {data}" for data, value in numbers.items() if value != MISSING)
    number = f"<br>{escape(claim.measured())}: <b>{escape(known)}</b>" if known else ""
    return f"<cite>{escape(claim.source)}</cite>{number}"


def _ours(page, result, titles):
    """Status, number and interval on one data set, what contradicts it, the page and command behind it."""
    shares = {"for it": result.support, "against it": result.against}
    told = [f"{show(share, 'percent', 0)} {side}" for side, share in shares.items() if share is not None]
    parts = [_status(result.status)]
    parts += [] if result.value is None else [f"{escape(result.metric)}: <b>{escape(result.text)}</b>"]
    parts += [f"of the draws {', '.join(told)}"] if told else []
    if result.contradiction and result.status == "differs":
        parts.append(f"against it: {escape(result.contradiction.text)}")
    parts.append(link_to(page.notebook, titles))
    return f'{"<br>".join(parts)}<div class="highlight"><pre>{escape(command(page))}</pre></div>'


def link_to(notebook: str, titles: Mapping[str, str]) -> str:
    """A link from a page at the book's root to that of a notebook, by its title."""
    return f'<a href="notebooks/{notebook}.html">{escape(titles.get(notebook, notebook))}</a>'


def command(page: Page) -> str:
    """What runs a page again, in a shell at the project's folder."""
    folder = "notebooks" if page.notebook[:1].isdigit() else "notebooks/recorded"
    return f"papermill {folder}/{page.notebook}.ipynb out.ipynb -r profile {page.profile}"


def _status(text):
    word = next((word for word in table.MARKS if text.startswith(word)), "not run")
    return table.badge(text, word)


def _strip(strip):
    """Statuses in a row for each axis of the protocol: the mark seen, the word heard."""
    axes = {}
    for axis, name, status in strip:
        word = next((word for word in table.MARKS if status.startswith(word)), "not run")
        mark, ground = table.MARKS[word]
        seen = (
            f'<span style="background: {ground}; color: #1a1a1a" aria-hidden="true">&nbsp;{mark}&nbsp;</span>'
        )
        heard = f'<span class="visually-hidden">{escape(word)}</span>'
        axes.setdefault(axis, []).append(f"<li>{escape(name)} {seen}{heard}</li>")
    rows = (f"<li>{escape(axis)}<ul>{''.join(held)}</ul></li>" for axis, held in axes.items())
    link = f'<a href="notebooks/{PROTOCOLS}.html">fewer points and one noise seed</a>'
    return f'<ul class="strip">{"".join(rows)}</ul>{link}'


def turning(claim: Claim, result: Result | None) -> str:
    """What would give a claim another status than it has, in words; of one that nobody measured, any at all.

    Parameters
    ----------
    claim : Claim
    result : Result, or None where nobody has measured it
    """
    if result is None or result.value is None:
        return f"A run: it takes {claim.needs}."
    if result.support is None:
        ends = "its whole interval" if result.interval else "the number"
        return f"A number that lies elsewhere: {ends} decides, on the same data or on others."
    for_it, against = show(result.support, "percent", 0), show(result.against, "percent", 0)
    lost = f"a trend that stands out in fewer than {WRITTEN} of the draws (now {for_it})"
    found = f"something against it that stands out in {WRITTEN} of them (now {against})"
    if result.status == "reproduced":
        return f"Differs: {found}. Inconclusive: {lost}."
    if result.status == "differs":
        return (
            f"No longer differs: what speaks against it stands out in fewer than {WRITTEN} (now {against})."
        )
    return f"Reproduced: a trend that stands out in {WRITTEN} of the draws (now {for_it}). Differs: {found}."
