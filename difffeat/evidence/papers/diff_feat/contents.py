"""What the paper says and shows, as it stands there: its sentence behind each claim, and its tables, figures
and algorithm in their order.
"""

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from difffeat.evidence.papers.diff_feat.claims import CLAIMS, Claim

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Item:
    """A table, a figure or the algorithm.

    Attributes
    ----------
    name : str, "Table 1"
    shows : str, what it shows, in our words
    pages : list of str, the notebooks that are about it
    profile : str, the one that would measure it on the paper's own data; "" where stored results do
    numbers : dict, where its numbers are printed: a `table`, `maps` of a modality in a table, `pairs` of a
        table; "" where the paper draws them and prints none
    claims : list of str, ids of claims that rest on it without naming it as their source
    """

    name: str
    shows: str
    pages: list
    profile: str
    numbers: dict | str
    claims: list = field(default_factory=list)

    @property
    def anchor(self) -> str:
        """The address of it on a page: "table-1"."""
        return self.name.lower().replace(" ", "-")

    def rests(self) -> list[Claim]:
        """The claims whose source names it, and those of `claims`."""
        return [claim for claim in CLAIMS if claim.id in self.claims or self.name in named(claim.source)]


def items() -> list[Item]:
    """All tables, figures and the algorithm, as the paper has them one after another."""
    return [Item(**entry) for entry in _read("contents.yaml")]


@cache
def sentences() -> dict[str, str]:
    """{id of a claim: the paper's sentence, " ... " where it is cut}; none for a claim of ours."""
    return {claim: entry["said"] for entry in _read("sentences.yaml") for claim in entry["claims"]}


def named(source: str) -> set[str]:
    """The tables, figures and algorithms that the source of a claim names: "Tables 5 and 6" names both."""
    found = re.findall(r"(Table|Figure|Algorithm)s? (\d+(?:(?:, | and )\d+)*)", source)
    return {f"{kind} {number}" for kind, numbers in found for number in re.findall(r"\d+", numbers)}


def _read(name):
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
