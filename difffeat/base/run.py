"""What a run took: seconds, memory and the machine, for the line under a page's title."""

import datetime
import platform
import sys
import time
from pathlib import Path

import torch

STARTED = time.perf_counter()  # of the kernel, nearly: pages import this module in their first cells


def run_taken() -> dict:
    """Seconds since the start, the most memory in use so far in GB, processor, threads and date of today."""
    taken = {"seconds": round(time.perf_counter() - STARTED, 1), "peak_gb": round(peak_gb(), 2)}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        taken |= {"gpu": torch.cuda.get_device_name(), "gpu_peak_gb": torch.cuda.max_memory_allocated() / 1e9}
    machine = {"processor": processor(), "threads": torch.get_num_threads()}
    return taken | machine | {"date": datetime.date.today().isoformat()}


def machine(run) -> str:
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
