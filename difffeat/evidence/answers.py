"""Sentences that a run decides: what follows from the numbers of a page, in words, and nothing that does not.

A sentence is text, or nothing where its condition does not hold: on other data, or after a change, another
sentence stands there, or none.
"""

from collections.abc import Iterable
from pathlib import Path

from IPython.display import Markdown

from difffeat.base.files import ROOT
from difffeat.base.format import decimals, show, show_interval
from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import Page, read
from difffeat.probing.stats import Measured


def claims(page: Page) -> Markdown:
    """One line for each claim of a page: its status, its number, and what contradicts it where that
    decides."""
    tested = [
        result for result in page.results if result.support is not None or result.status.startswith("not run")
    ]
    return Markdown("\n".join(f"- {_claim(result)}" for result in tested) or "No claim was tested here.")


def _claim(result):
    said = f"**{result.status[0].upper()}{result.status[1:]}**: {result.what}."
    if result.value is not None:
        said += f" Here: {result.metric} {result.text}."
    if result.status == "differs" and result.contradiction:
        said += f" Against it: {result.contradiction.text}."
    return said


def beside(name: str, number: Measured, others: Iterable) -> str:
    """How a number compares with others that were measured on the same samples.

    Parameters
    ----------
    name : str, what the number is: "the best image feature"
    number : stats.Measured
    others : floors, or any objects with `name`, `value` and `measured`

    Returns
    -------
    str
        Sorted by how much is between them. Above and below are what a claim of this difference would be
        called, by the same test with the same interval; where neither stands out, the two are not told apart.
    """
    ranked = sorted(others, key=lambda other: other.value)
    parts = [
        f"{_apart(number - other.measured)} {other.name} ({show(other.value, 'percent')})" for other in ranked
    ]
    value = f"{name[0].upper()}{name[1:]} reaches {show(number.value, 'percent')}"
    return f"{value}: {'; '.join(parts)}."


def _apart(difference):
    """ "12.3 points (10.1 to 14.2) above", "1.2 points (0.4 to 2.0) below" or "not told apart from"."""
    found = shapes.positive(difference.value, difference.draws)
    low, high = found.interval or (found.value, found.value)  # of a single draw
    digits = decimals("points", (low, high))
    if found.status == "inconclusive":
        return f"not told apart ({show_interval((low, high), 'points', digits)} points) from"
    ends = sorted((abs(low), abs(high)))
    written = " to ".join(show(end, "points", digits).lstrip("+") for end in ends)
    size = show(abs(difference.value), "points", digits).lstrip("+")
    return f"{size} points ({written}) {'above' if found.status == 'reproduced' else 'below'}"


def above(number: Measured, other: Measured) -> bool:
    """Whether a number is above another beyond noise, of paired draws: as a claim of it would be tested."""
    difference = number - other
    return shapes.positive(difference.value, difference.draws).status == "reproduced"


def say(*sentences: str | tuple) -> Markdown:
    """The sentences that hold, as a paragraph.

    Parameters
    ----------
    *sentences : str, or pairs (condition, str) of which the text counts where the condition is true
    """
    pairs = [sentence if isinstance(sentence, tuple) else (True, sentence) for sentence in sentences]
    return Markdown(" ".join(text for holds, text in pairs if holds))


def leakage(folder: Path | str | None = None) -> str:
    """What a string match finds in real captions of MS-COCO, beside the paper's best number on such captions.

    Parameters
    ----------
    folder : path, the results of the page on the captions of MS-COCO; by default the stored ones
    """
    page = read(Path(folder or ROOT / "results" / "coco-lists") / "coco_captions.json")
    best = paper.best(5, "fusion")
    matched = page["string_match_score"].value
    gap = show(best.value - matched, "points").lstrip("+")
    return (
        f"On {page['captions'].value:,} real captions of MS-COCO, a search for the names of the labels, with "
        f"no model, no picture and no training, finds the labels of enhanced captions with "
        f"{page['string_match_score'].text} mAP; the paper's best fused feature has "
        f"{show(best.value, 'percent')}, {gap} points more. In the same captions as written it "
        f"finds {page['string_match_original_score'].text}. So a score on enhanced captions says how well "
        f"labels are read back that were written there. It does not say that the features hold nothing else: "
        f"that is what captions as written are for."
    )


def counted(page: Page) -> str:
    """How many claims there are and how many have each status, of the claims page or what is to be one.

    Parameters
    ----------
    page : Page, or any mapping of the ids of `ClaimTable.counts` to results
    """
    words = {
        "reproduced": "reproduced",
        "differ": "differ",
        "inconclusive": "inconclusive",
        "not_run": "not measured in this run",
    }
    of = {name: page[f"claims_{name}"].value for name in (*words, "total", "elsewhere")}
    statuses = ", ".join(f"{of[name]} {word}" for name, word in words.items() if of[name])
    elsewhere = f" ({of['elsewhere']} of these measured on other data)" if of["elsewhere"] else ""
    return f"Of {of['total']} claims: {statuses}{elsewhere}."


def properties(folder: Path | str) -> Markdown:
    """What the page of activations says of the second paper's three properties; nothing where a run has no
    such page."""
    path = Path(folder) / "50_activations.json"
    if not path.is_file():
        return say()
    return claims(read(path))


def models(folder: Path | str) -> str:
    """How large the models are that the page on the backbones measured; nothing where a run has no such
    page."""
    path = Path(folder) / "05_backbones.json"
    if not path.is_file():
        return ""
    page = read(path)
    sizes = [show(page[f"{name}_parameters"].value / 1e6, digits=1) for name in ("dit", "plaid")]
    return f"The two models have {sizes[0]} and {sizes[1]} million parameters."
