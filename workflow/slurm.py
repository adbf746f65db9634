"""What the workflow does for Slurm alone: chooses how ends of jobs are seen, and sums up what was refused."""

import re
import subprocess
from typing import Any

# Seconds. The executor looks at its jobs every 180 or sooner: squeue has to know those that ended in between.
REMEMBERED = 200

WHERE = (
    "What jobs ask for is set in config.yaml of the workflow profile (workflow/profiles/slurm): mem_mb, "
    "runtime, slurm_partition, set-threads."
)


def see_ends(settings: Any) -> None:
    """Have squeue asked how jobs ended where no accounting is kept: sacct never knows, and a run never ends.

    Parameters
    ----------
    settings : settings of the executor, changed in place; other executors' are left as they are
    """
    if not hasattr(settings, "status_command") or succeeds("sacct"):
        return
    from snakemake_executor_plugin_slurm.job_status_query import get_min_job_age

    seconds = get_min_job_age() or 0
    if seconds < REMEMBERED:
        raise RuntimeError(
            f"Slurm keeps no accounting here and forgets a job {seconds} s after its end, too soon to see "
            f"how it ended: slurm.conf has to set MinJobAge to {REMEMBERED} or more (300 if it says nothing)"
        )
    settings.status_command = "squeue"


def succeeds(command: str) -> bool:
    return subprocess.run(command, shell=True, capture_output=True).returncode == 0


def refused(log: str) -> str:
    """What sbatch refused, with what the jobs asked for, and where to change it; empty if it refused none."""
    calls = re.findall(r"The error message was '(.*?)'\.\n\s*sbatch call:\n(.*?) --wrap=", log, re.DOTALL)
    lines = sorted({f"  {of(call)}, with {asked(call)}: {plain(said)}\n" for said, call in calls})
    return f"Slurm refused jobs:\n{''.join(lines)}{WHERE}\n" if lines else ""


def plain(said: str) -> str:
    """What sbatch said, in one line."""
    return "; ".join(line.strip().removeprefix("sbatch: error: ") for line in said.splitlines())


def of(call: str) -> str:
    """The rule that a call of sbatch is for."""
    return re.search(r"--comment '?rule_(.*?)(_wildcards_.*?)?'? ", call)[1]


def asked(call: str) -> str:
    """The options of a call of sbatch by which Slurm may refuse it."""
    return " ".join(re.findall(r"(?<= )(?:-p|-t|--mem|--gpus|--cpus-per-task|--cpus-per-gpu)[ =]\S+", call))
