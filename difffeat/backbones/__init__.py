"""The frozen diffusion transformers that features are read from."""

from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"


def weights_folder(name):
    """Where the shipped files of a backbone are."""
    return WEIGHTS / name
