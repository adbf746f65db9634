"""What the last run of a profile took, as a table: `python workflow/usage.py coco-smoke`."""

import sys
from pathlib import Path

from difffeat import claims

COLUMNS = ["page", "seconds", "peak GB", "on"]


def main(profile):
    """Print a row per page; an extraction that was shared stands there once more, as its last shard ran."""
    rows = []
    for folder in (Path("build/shards", profile), Path("build/results", profile)):
        for name, page in claims.read_all(folder).items():
            kind = " (a shard)" if folder.parts[1] == "shards" else ""
            run = page.run
            on = run.get("gpu") or f"{run['threads']} threads of {run['processor']}"
            rows.append([name + kind, f"{run['seconds']:.0f}", f"{run['peak_gb']:.1f}", on])
    if not rows:
        sys.exit(f"nothing of {profile} has run here: make book PROFILE={profile}")
    for row in [COLUMNS, ["---"] * len(COLUMNS), *sorted(rows)]:
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
