"""Published weights read as data: tensors by name, and nothing that runs."""

import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

ZIP_START = b"PK\x03\x04"


def read_checkpoint(path: Path | str) -> dict[str, torch.Tensor]:
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
    if unnamed := [name for name in state if not isinstance(name, str)]:
        raise ValueError(f"{path}: a tensor is filed under {unnamed[0]!r}, expected its name")
    return dict(state)


def digest_of(state: Mapping[str, torch.Tensor]) -> str:
    """sha256 of tensors by name: of their names, kinds, shapes and numbers."""
    found = hashlib.sha256()
    for name, tensor in state.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def check_tensors(state: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple], file: Path | str) -> None:
    """Raise unless a checkpoint holds the tensors of a model, no others, and finite numbers in them.

    Parameters
    ----------
    state : dict of str to Tensor, as `read_checkpoint` gives it
    shapes : dict of str to the shape (tuple of int) that the tensor of this name has in the model
    file : path or str, what the message calls the checkpoint

    Raises
    ------
    ValueError
        If a tensor is missing, too many, of another shape or type, or holds NaN or infinity; the message
        names the file, the tensor, what was expected and what came.
    """
    if missing := [name for name in shapes if name not in state]:
        raise ValueError(
            f"{file} lacks {_named(missing, shapes)}: expected {missing[0]} of shape "
            f"{tuple(shapes[missing[0]])} among {len(shapes)} tensors, {len(state)} came; this is another "
            f"model's file, or part of one"
        )
    if extra := [name for name in state if name not in shapes]:
        raise ValueError(
            f"{file} holds {_named(extra, state)}: the model has no such tensor; expected {len(shapes)}, "
            f"{len(state)} came: this is another model's file"
        )
    for name, shape in shapes.items():
        _check_tensor(state[name], tuple(shape), f"{file}: {name}")


def _named(names, among):
    """The first of some names, and how many there are."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more of {len(among)} tensors"


def _check_tensor(value, shape, what):
    if tuple(value.shape) != shape:
        raise ValueError(f"{what} is of shape {tuple(value.shape)}, expected {shape}")
    if value.layout != torch.strided or not value.is_floating_point():
        raise ValueError(f"{what} is of type {value.dtype} ({value.layout}), expected plain floats")
    strange = value.numel() - int(torch.isfinite(value.float()).sum())
    if strange:
        raise ValueError(
            f"{what} has {strange} of {value.numel()} values that are NaN or infinite, expected finite "
            f"weights: the training that wrote it failed, or the file is damaged; get it again"
        )


def axes_of(state: Mapping[str, torch.Tensor], name: str, count: int, file: Path | str) -> tuple[int, ...]:
    """The sizes of a tensor that tell how large a model is.

    Raises
    ------
    ValueError
        If it is not there, or has not `count` axes with something in them.
    """
    if name not in state:
        some = ", ".join(list(state)[:3]) or "nothing"
        raise ValueError(
            f"{file} lacks {name}, which tells the size of the model; it holds {some}"
            f"{', ...' if len(state) > 3 else ''}: this is another model's file, or part of one"
        )
    sizes = tuple(state[name].shape)
    if len(sizes) != count or 0 in sizes:
        raise ValueError(f"{file}: {name} is of shape {sizes}, expected {count} axes and none of them empty")
    return sizes


def depth_of(state: Mapping[str, torch.Tensor], file: Path | str) -> int:
    """How many blocks a checkpoint has, whose tensors are named blocks.0. and so on without a gap.

    Raises
    ------
    ValueError
        If there are none, or a number between the first and the last is missing.
    """
    numbers = {int(match[1]) for name in state if (match := re.match(r"blocks\.(\d{1,6})\.", name))}
    if gaps := [number for number in range(len(numbers) or 1) if number not in numbers]:
        deepest = max(numbers, default=None)
        raise ValueError(
            f"{file} lacks every tensor of blocks.{gaps[0]}; "
            + ("it has no blocks at all" if deepest is None else f"the last of its blocks is {deepest}")
        )
    return len(numbers)


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
