"""What a change changes in the book, as Markdown: statuses of claims, and what figures find.

    python workflow/changed.py results/scenes build/results/scenes notebooks build/notebooks/scenes

A figure says its finding in its alternative text, which is made from its values.
"""

import re
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import nbformat

from difffeat.evidence.claims import find
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import read_all


def main(results: tuple[Path, Path], notebooks: tuple[Path, Path]) -> str:
    """Both lists, each of two folders, that before and that after."""
    return "\n".join(
        ["## Statuses of claims", "", *statuses(*results), "", "## Figures", "", *figures(*notebooks)]
    )


def statuses(before: Path, after: Path) -> list[str]:
    """Rows of the claims whose status differs, with their numbers; one line where none does."""
    told = [{claim.id: _told(read, claim) for claim in CLAIMS} for read in map(read_all, (before, after))]
    changed = [claim for claim in CLAIMS if len({held[claim.id].split(":")[0] for held in told}) > 1]
    cells = [[claim.said(), *(held[claim.id] for held in told)] for claim in changed]
    rows = [f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in cells]
    return ["| claim | before | after |", "| --- | --- | --- |", *rows] if rows else ["No status changes."]


def _told(pages, claim):
    """The status of a claim and its number: "reproduced: 50 (0 to 100)"."""
    result = find(pages, claim)[1]
    return "not run" if result is None else f"{result.status}: {result.text}"


def figures(before: Path, after: Path) -> list[str]:
    """Lines of the figures that find something else, are new or are gone; one line where there are none."""
    lines = []
    for notebook in sorted(after.glob("*.ipynb")):
        old = list(findings(before / notebook.name)) if (before / notebook.name).is_file() else []
        new = list(findings(notebook))
        lines += [f"- {notebook.stem}, no longer: {text}" for text in old if text not in new]
        lines += [f"- {notebook.stem}, now: {text}" for text in new if text not in old]
    return lines or ["No figure finds anything else."]


def findings(notebook: Path) -> Iterator[str]:
    """The alternative texts of the figures of an executed notebook."""
    for cell in nbformat.read(notebook, 4).cells:
        for output in cell.get("outputs", []):
            html = "".join(output.get("data", {}).get("text/html", ""))
            for found in re.findall(r'<figure class="difffeat"><img [^>]*?alt="(.*?)"', html, re.DOTALL):
                yield unescape(found)


if __name__ == "__main__":
    paths = [Path(path) for path in sys.argv[1:]]
    print(main((paths[0], paths[1]), (paths[2], paths[3])))
