"""Independent work side by side on the processor."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

import torch


def on_threads(call: Callable, items: Collection, device: torch.device | None = None) -> list:
    """[call(item) of each item], on as many threads as torch may use; on a GPU, one after another.

    Each thread does its own products alone: threads that wait for each other at every small product lose most
    of their time, and on a shared machine nearly all of it.
    """
    allowed = torch.get_num_threads()
    threads = min(allowed, len(items))
    if threads < 2 or (device is not None and device.type != "cpu"):
        return [call(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(call, items))
    finally:
        torch.set_num_threads(allowed)
