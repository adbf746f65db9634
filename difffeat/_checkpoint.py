"""Published weights read as data: tensors by name, and nothing that runs."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

ZIP_START = b"PK\x03\x04"


def read_checkpoint(path):
    """Read the tensors of a checkpoint, on the CPU, without running code that it may hold.

    Parameters
    ----------
    path : path of a .safetensors file, or of one that `torch.save` wrote (.pt, .pth, .bin)

    Returns
    -------
    dict of str to Tensor. Tensors of a .pt in today's format stay on disk until they are used.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or ends early, holds something else than tensors by name, or is a pickle that
        names code to be run; the message says which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a checkpoint, .safetensors or .pt")
    state = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, expected tensors by name")
    others = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise ValueError(
            f"{path}: {others[0]!r} is a {type(state[others[0]]).__name__}, expected a tensor; {len(others)} "
            f"of {len(state)} entries are none"
        )
    return dict(state)


def _read_safetensors(path):
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or ends early: {error}") from error


def _read_torch(path):
    whole = zipfile.is_zipfile(path)
    with path.open("rb") as stream:
        if not whole and stream.read(len(ZIP_START)) == ZIP_START:
            raise ValueError(f"{path} is damaged or ends early: it begins as a .pt and has no end")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # it is read, or refused
            # Files of the format before zip cannot be left on disk.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=whole)
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code is None:
            raise ValueError(f"{path} is damaged, or a pickle of other things than tensors") from error
        raise ValueError(
            f"{path} was not read: it is a pickle that names {code[1]}, which is code and not a tensor, and "
            f"reading it could run anything; use .safetensors, or a file that holds tensors only"
        ) from error
    except OSError:
        raise
    except Exception as error:  # PyTorch's reader meets damage with errors of every kind
        raise ValueError(f"{path} is damaged or ends early: {error or type(error).__name__}") from error
