"""Sentences that a run decides: what follows from the numbers of a page, in words, and nothing that does not.

A sentence is text, or nothing where its condition does not hold: on other data, or after a change, another
sentence stands there, or none.
"""

from IPython.display import Markdown

from difffeat._format import decimals, show, show_interval

VERBS = {
    "reproduced": "Reproduced",
    "differs": "Differs",
    "inconclusive": "Inconclusive",
    "not run": "Not run",
    "other data": "Other data",
}


def claims(page) -> Markdown:
    """One line for each claim of a page: its status, its number, and what contradicts it where that decides."""
    tested = [result for result in page.results if result.what and result.support is not None]
    return Markdown("\n".join(f"- {_claim(result)}" for result in tested) or "No claim was tested here.")


def _claim(result):
    said = f"**{VERBS[result.status]}**: {result.what}."
    if result.value is not None:
        said += f" Here: {result.metric} {result.text}."
    if result.status == "differs" and result.contradiction:
        said += f" Against it: {against(result.contradiction)}."
    return said


def against(contradiction) -> str:
    """A contradiction in words and numbers: "block 8: t = 30 lies above t = 0: +2.1 points (1.0 to 3.2)"."""
    what, value, interval = contradiction
    digits = decimals("points", interval)
    ends = f" ({show_interval(interval, 'points', digits)})" if interval else ""
    return f"{what}: {show(value, 'points', digits)} points{ends}"


def beside(name, number, others) -> str:
    """How a number compares with others that were measured on the same samples.

    Parameters
    ----------
    name : str, what the number is: "the best image feature"
    number : stats.Measured
    others : floors, or any objects with `name` and `measured`

    Returns
    -------
    str
        Sorted by how much is between them; where the paired interval holds 0, the two are said not to differ.
    """
    ranked = sorted(others, key=lambda other: other.value)
    parts = [f"{_apart(number - other.measured)} {other.name} ({show(other.value, 'percent')})" for other in ranked]
    value = f"{name[0].upper()}{name[1:]} reaches {show(number.value, 'percent')}"
    return f"{value}: {'; '.join(parts)}."


def _apart(difference):
    """"12.3 points (10.1 to 14.2) above", "1.2 points (0.4 to 2.0) below" or "not told apart from"."""
    low, high = difference.interval
    digits = decimals("points", (low, high))
    if low <= 0 <= high:
        return f"not told apart ({show_interval((low, high), 'points', digits)} points) from"
    ends = sorted((abs(low), abs(high)))
    written = " to ".join(show(end, "points", digits).lstrip("+") for end in ends)
    size = show(abs(difference.value), "points", digits).lstrip("+")
    return f"{size} points ({written}) {'above' if low > 0 else 'below'}"


def above(number, other) -> bool:
    """Whether a number is above another beyond noise: the paired 95 % interval of the difference is above 0."""
    return (number - other).interval.low > 0


def say(*sentences) -> Markdown:
    """The sentences that hold, as a paragraph.

    Parameters
    ----------
    *sentences : str, or pairs (condition, str) of which the text counts where the condition is true
    """
    pairs = [sentence if isinstance(sentence, tuple) else (True, sentence) for sentence in sentences]
    return Markdown(" ".join(text for holds, text in pairs if holds))
