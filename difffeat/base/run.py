"""What a run took and ran on: seconds, memory, machine, versions, for the line under a page's title."""

import datetime
import functools
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch

from difffeat import __version__

STARTED = time.perf_counter()  # of the kernel, nearly: pages import this module in their first cells


def run_taken() -> dict:
    """Seconds since the start, the most memory in use so far in GB, processor, threads and date of today."""
    taken = {"seconds": round(time.perf_counter() - STARTED, 1), "peak_gb": round(peak_gb(), 2)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        taken |= {"gpu": torch.cuda.get_device_name(), "gpu_peak_gb": torch.cuda.max_memory_allocated() / 1e9}
    machine = {"processor": processor(), "threads": torch.get_num_threads()}
    return taken | machine | {"date": datetime.date.today().isoformat()}


def machine(run: Mapping) -> str:
    """What a page ran on, from what `run_taken` kept: the GPU, or the processor and its threads."""
    if "gpu" in run:
        return run["gpu"]
    return f"{run['threads']} thread{'s' * (run['threads'] > 1)} of {run['processor']}"


def peak_gb() -> float:
    """The most memory that this process has had in use, in GB; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def processor() -> str:
    """The name of the processor, as the system has it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def environment() -> dict:
    """The commit of this package where there is one, and the versions of what decides the numbers."""
    return dict(_environment())


@functools.cache
def _environment():
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    libraries = {package: version(package) for package in ("torch", "diffusers", "numpy", "h5py", "pillow")}
    return {"difffeat": __version__, "commit": commit.stdout.strip() or None} | libraries
