"""What the last run of a profile took, as a table: `python workflow/usage.py coco-smoke`."""

import sys
from pathlib import Path

from difffeat import profiles
from difffeat.base.run import machine
from difffeat.evidence import results

COLUMNS = ["page", "seconds", "peak GB", "on"]


def main(profile: str) -> None:
    """Print a row per page, and one for each shard of an extraction."""
    rows, profile = [], profiles.load(profile).name
    for folder in (*Path("build/shards", profile).glob("*-of-*/*"), Path("build/results", profile)):
        shard = f", shard {folder.parent.name}" if folder.parts[1] == "shards" else ""
        for name, page in results.read_all(folder).items():
            if not (run := page.run):  # of a run before this was kept
                continue
            memory = f"{run['peak_gb']:.1f}"
            if "gpu" in run:
                memory += f" + {run['gpu_peak_gb']:.1f} GPU"
            rows.append([name + shard, f"{run['seconds']:.0f}", memory, machine(run)])
    if not rows:
        sys.exit(f"nothing of {profile} has run here: make book PROFILE={profile}")
    for row in [COLUMNS, ["---"] * len(COLUMNS), *sorted(rows)]:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
