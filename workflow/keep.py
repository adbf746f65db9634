"""Take what the last run made over into what git keeps: `python workflow/keep.py scenes`.

Results go to `results/<profile>/`. For `scenes`, whose defaults the stored notebooks show, outputs go to
`notebooks/` and the claims to README.md; those of pages recorded from real data to `notebooks/recorded/`. A
source does not change by that, so its time stays and nothing has to run again.
"""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pandas as pd

from difffeat import profiles
from difffeat.evidence import answers
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.show import tables
from difffeat.show.claim_table import NOT_RUN, claim_table

START, END = "<!-- at a glance: written by `make keep` from results/scenes -->\n", "<!-- end -->"
COLUMNS = ["claim", "metric", "paper", "ours", "interval", "status", "contradicted by"]


def main(profile: str) -> None:
    profile = profiles.load(profile).name
    kept = results(sorted(Path("build/results", profile).glob("*.json")), profile)
    stored = Path("notebooks") if profile == "scenes" else Path("notebooks", "recorded")
    for executed in sorted(Path("build/notebooks", profile).glob("*.ipynb")):
        if (stored / executed.name).is_file():
            outputs(executed, stored / executed.name)
    if profile == "scenes":
        readme = Path("README.md")
        readme.write_text(with_glance(readme.read_text(encoding="utf-8"), kept), encoding="utf-8")


def results(made: Iterable[Path], profile: str) -> Path:
    """Copy results files to those of a profile; the folder."""
    folder = Path("results", profile)
    folder.mkdir(parents=True, exist_ok=True)
    for path in made:
        shutil.copyfile(path, folder / path.name)
    return folder


def outputs(executed: Path, source: Path) -> None:
    """Copy outputs from the executed copy of a notebook, cell by cell; refuse a copy of another version."""
    notebook, ran = nbformat.read(source, 4), nbformat.read(executed, 4)
    cells = [cell for cell in ran.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    if [cell.source for cell in cells] != [cell.source for cell in notebook.cells]:
        sys.exit(f"{source} has changed since it ran; run `make book` first")
    codes = [
        (cell, copy) for cell, copy in zip(notebook.cells, cells, strict=True) if cell.cell_type == "code"
    ]
    for count, (cell, copy) in enumerate(codes, start=1):
        cell.outputs, cell.execution_count = copy.outputs, count
    times = source.stat()
    nbformat.write(notebook, source)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))


def with_glance(readme: str, results: Path) -> str:
    """The text of README.md with the finding, the counts and the paper's main claims, as far as these results
    measure them, between its two marks."""
    before, rest = readme.split(START)
    claims = claim_table(results, results.parent)
    counts = {result.id: result for result in claims.counts}
    frame = tables.claims(results).frame
    main = pd.Series(["abstract" in claim.source or "section 3" in claim.source for claim in CLAIMS])
    measured = frame[main & ~frame["status"].str.startswith(NOT_RUN)]
    rows = [COLUMNS, ["---"] * len(COLUMNS), *measured[COLUMNS].to_numpy().tolist()]
    table = "\n".join(f"| {' | '.join(_escaped(row))} |" for row in rows)
    said = f"{answers.counted(counts)} Those of the abstract and of section 3 (the book has all):"
    return f"{before}{START}\n{answers.leakage()}\n\n{said}\n\n{table}\n\n{END}{rest.split(END)[1]}"


def _escaped(row):
    """Cells of a row of a table in Markdown, in which a bar would end one."""
    return [cell.replace("|", "\\|") for cell in row]


if __name__ == "__main__":
    main(sys.argv[1])
