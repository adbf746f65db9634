"""What the training scripts share: allocation, averages, checkpoints, a log, a learning-rate plan."""

import argparse
import csv
import hashlib
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from difffeat.base.files import write_whole

# Training allocates and frees the same large buffers every step. By default glibc returns them to the system
# each time; keeping them, in huge pages, doubles the number of samples a second on a CPU.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def restart_with_fast_malloc() -> None:
    """Start this command again with `MALLOC` set, unless it is: glibc reads it at start only."""
    if sys.platform == "linux" and any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execvpe(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MALLOC})


class Average:
    """Exponential moving average of a model's parameters; early steps average over a shorter past."""

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.parameters = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards the model by 1 - decay."""
        decay = min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(
            self.parameters, [parameter.detach() for parameter in model.parameters()], 1 - decay
        )

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> nn.Module:
        """Write the averaged parameters into a model of the same shape."""
        for parameter, average in zip(model.parameters(), self.parameters, strict=True):
            parameter.copy_(average)
        return model


class AdamW:
    """AdamW, each of whose groups of parameters has a rate of its own: a step's times its `peak`, or 1."""

    def __init__(self, groups: list[dict]) -> None:
        self.inner = torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01)

    def step(self, rate: float) -> None:
        """One update at a learning rate; gradients are cleared."""
        for group in self.inner.param_groups:
            group["lr"] = rate * group.get("peak", 1.0)
        self.inner.step()
        self.inner.zero_grad()

    def state_dict(self) -> dict:
        """What a checkpoint keeps."""
        return self.inner.state_dict()

    def load_state_dict(self, state: dict) -> None:
        """Go on from what a checkpoint kept; ValueError if it was another optimizer's."""
        if not isinstance(state, dict):
            raise ValueError("the checkpoint is of another optimizer: delete it, or name another --run")
        self.inner.load_state_dict(state)


class Muon:
    """Muon (Jordan et al. 2024) for the weight matrices of a model's blocks, AdamW for all else.

    Muon makes the update of a matrix nearly orthogonal, so that no direction of it is left behind. Scaled to
    AdamW's usual step, both take one learning rate. `torch.optim.Muon` is the same but for its products,
    which are in bfloat16: a processor without units for that takes a hundred times as long for them. Matrices
    of one shape are updated together.

    Parameters
    ----------
    blocks : Module, whose two-dimensional parameters are Muon's
    others : list of dict, AdamW's groups of the other parameters
    peak : float, by which a step's rate is multiplied
    """

    MOMENTUM, DECAY = 0.95, 0.01

    def __init__(self, blocks: nn.Module, others: list[dict], peak: float = 1.0) -> None:
        self.peak = peak
        matrices = [parameter for parameter in blocks.parameters() if parameter.ndim == 2]
        shapes = dict.fromkeys(parameter.shape for parameter in matrices)
        self.groups = [[one for one in matrices if one.shape == shape] for shape in shapes]
        self.momentum = [torch.zeros_like(torch.stack(list(group))) for group in self.groups]
        self.adamw = AdamW(others)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update at a learning rate; gradients are cleared."""
        for group, momentum in zip(self.groups, self.momentum, strict=True):
            gradient = torch.stack([parameter.grad for parameter in group])  # (n, rows, columns)
            momentum.lerp_(gradient, 1 - self.MOMENTUM)
            update = orthogonal(gradient.lerp(momentum, self.MOMENTUM))
            size = 0.2 * math.sqrt(max(gradient.shape[1:]))  # the root mean square of AdamW's steps
            torch._foreach_mul_(group, 1 - rate * self.peak * self.DECAY)
            torch._foreach_add_(group, list(update), alpha=-rate * self.peak * size)
            for parameter in group:
                parameter.grad = None
        self.adamw.step(rate)

    def state_dict(self) -> list:
        """What a checkpoint keeps."""
        return [self.momentum, self.adamw.state_dict()]

    def load_state_dict(self, states: list) -> None:
        """Go on from what a checkpoint kept; ValueError if it was another optimizer's."""
        if not isinstance(states, list) or not isinstance(states[0], list):
            raise ValueError("the checkpoint is of another optimizer: delete it, or name another --run")
        self.momentum = states[0]
        self.adamw.load_state_dict(states[1])


def orthogonal(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Matrices (n, rows, columns) with singular values brought near 1, by Newton and Schulz's iteration.

    Its coefficients are those of Jordan et al. 2024: values end between 0.7 and 1.2, which is near enough.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return x.mT if tall else x


def outside(model: nn.Module, blocks: nn.Module) -> list[nn.Parameter]:
    """Parameters of a model that `Muon` leaves to AdamW: all but the matrices of its blocks."""
    taken = {id(parameter) for parameter in blocks.parameters() if parameter.ndim == 2}
    return [parameter for parameter in model.parameters() if id(parameter) not in taken]


def learning_rate(seen: int, *, peak: float, total: int, warmup: int, decay: int) -> float:
    """Linear warm-up, constant, then a cosine to zero over the last `decay` samples.

    The constant part makes a run extensible: before the decay has begun, it may be stopped and resumed with
    another total.
    """
    if seen < warmup:
        return peak * (seen + 1) / warmup
    if seen <= total - decay:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * min(1, (seen - total + decay) / decay)))


def save_checkpoint(path: Path | str, state: dict) -> None:
    """Write under a temporary name, then rename: a checkpoint that exists is complete."""
    path, content = Path(path), io.BytesIO()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, content)
    write_whole(path, content.getbuffer())


def load_checkpoint(path: Path | str, device: str = "cpu") -> dict | None:
    """The saved state on a device, or None when there is none yet; random generators stay on the processor.

    A damaged one is set aside, which is said, and is none: training begins anew, with the same result.
    """
    path = Path(path)
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True, map_location=device)
        return state | {name: state[name].cpu() for name in ("generator",) if name in state}
    except OSError:
        raise
    except Exception as error:  # PyTorch's reader meets damage with errors of every kind
        aside = path.replace(path.with_name(f"{path.name}.damaged"))
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        print(
            f"{path} is damaged or ends early ({why}): it is set aside as {aside}, and training begins anew",
            file=sys.stderr,
        )
        return None


class Log:
    """A CSV of training measurements, which goes on where the checkpoint does.

    Parameters
    ----------
    path : path of the file
    resumed_at : int, step of the checkpoint; later rows are dropped
    rows : list of dict, optional, the rows up to there, as a checkpoint keeps them; without them the file is
        read, as far as it is whole: a line that was being written when training stopped is dropped
    """

    def __init__(self, path: Path | str, resumed_at: int, rows: Iterable[dict] | None = None) -> None:
        self.path = Path(path)
        self.rows = list(_whole_rows(self.path) if rows is None else rows)
        self.rows = [row for row in self.rows if int(row["step"]) <= resumed_at]
        if (self.path.read_bytes() if self.path.exists() else b"") != self._text():
            self._write()

    def add(self, **row: object) -> None:
        """Append a row and rewrite the file; floats keep five significant digits."""
        self.rows.append(
            {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()}
        )
        self._write()

    def _write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, self._text())

    def _text(self):
        """The file's bytes; none without rows."""
        text = io.StringIO(newline="")
        if self.rows:
            writer = csv.DictWriter(text, fieldnames=list(self.rows[-1]))
            writer.writeheader()
            writer.writerows(self.rows)
        return text.getvalue().encode()

    @property
    def seconds(self) -> float:
        """Training time so far, over all resumed runs."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0


def _whole_rows(path):
    """The rows of a CSV up to its first line that has no end or not what the header says."""
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    lines = text.split("\n")[:-1]  # the last has no end, or is empty
    rows = []
    for row in csv.DictReader(lines):
        if None in row or None in row.values() or not row.get("step", "").isdecimal():
            break
        rows.append(row)
    return rows


# Options that say where somebody trained, not how; a card names the model itself.
PLACES = ("out", "run", "threads", "device", "model")


def card_options(options: argparse.Namespace) -> dict:
    """The command line as a card keeps it."""
    return {name: value for name, value in vars(options).items() if name not in PLACES}


def write_weights(
    folder: Path | str,
    tensors: Mapping[str, torch.Tensor],
    *,
    config: dict,
    card: dict,
    name: str = "model.safetensors",
) -> None:
    """Ship a model: float16 safetensors, its config, and a card that says how it came about.

    Parameters
    ----------
    folder : path
    tensors : dict of name to Tensor
    config : dict, what the loader needs to build the model
    card : dict, data seed, steps, samples, time; commit, library versions and sha256 of the weights are added
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({key: value.half().cpu().contiguous() for key, value in tensors.items()})
    write_whole(folder / name, weights)
    write_whole(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())
    digest = hashlib.sha256(weights).hexdigest()
    body = {**card, "commit": _commit(), "torch": torch.__version__, "sha256": digest}
    write_whole(folder / "card.json", (json.dumps(body, indent=2) + "\n").encode())


def _commit():
    """The last commit that changed the code of training, marked when the working tree differs from it."""
    code = ["--", "data_prep", "difffeat/*.py", "difffeat/backbones/*.py"]
    commit = _git("log", "-1", "--abbrev=12", "--format=%h", *code)
    return commit + ("-modified" if commit and _git("status", "--porcelain", *code) else "") or "unknown"


def _git(*arguments):
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return run.stdout.strip()
