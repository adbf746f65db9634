"""What the training scripts share: allocation, averages, checkpoints, a log, a learning-rate plan."""

import csv
import hashlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

# Training allocates and frees the same large buffers every step. By default glibc returns them to the system
# each time; keeping them, in huge pages, doubles the number of samples a second on a CPU.
MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def restart_with_fast_malloc():
    """Start this command again with `MALLOC` set, unless it is: glibc reads it at start only."""
    if sys.platform == "linux" and any(os.environ.get(name) != value for name, value in MALLOC.items()):
        os.execvpe(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **MALLOC})


class Average:
    """Exponential moving average of a model's parameters; early steps average over a shorter past."""

    def __init__(self, model, decay=0.999):
        self.decay = decay
        self.parameters = [parameter.detach().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self, model, step):
        """Move towards the model by 1 - decay."""
        decay = min(self.decay, (step + 1) / (step + 10))
        torch._foreach_lerp_(
            self.parameters, [parameter.detach() for parameter in model.parameters()], 1 - decay
        )

    @torch.no_grad()
    def copy_to(self, model):
        """Write the averaged parameters into a model of the same shape."""
        for parameter, average in zip(model.parameters(), self.parameters, strict=True):
            parameter.copy_(average)
        return model


class Muon:
    """Muon (Jordan et al. 2024) for the weight matrices of a model's blocks, AdamW for all else.

    Muon makes the update of a matrix nearly orthogonal, so that no direction of it is left behind. Scaled to
    AdamW's usual step, both take one learning rate.

    Parameters
    ----------
    model : Module
    blocks : Module inside it, whose two-dimensional parameters are Muon's
    rate : float, learning rate
    """

    def __init__(self, model, blocks, rate):
        matrices = [parameter for parameter in blocks.parameters() if parameter.ndim == 2]
        chosen = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
        self.optimizers = [
            torch.optim.Muon(matrices, lr=rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.99), weight_decay=0.01),
        ]

    def step(self, rate):
        """One update at a learning rate; gradients are cleared."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()

    def state_dict(self):
        """What a checkpoint keeps."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, states):
        """Go on from what a checkpoint kept; ValueError if it was another optimizer's."""
        if not isinstance(states, list):
            raise ValueError("the checkpoint is of another optimizer: delete it, or name another --run")
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def learning_rate(seen, *, peak, total, warmup, decay):
    """Linear warm-up, constant, then a cosine to zero over the last `decay` samples.

    The constant part makes a run extensible: before the decay has begun, it may be stopped and resumed with
    another total.
    """
    if seen < warmup:
        return peak * (seen + 1) / warmup
    if seen <= total - decay:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * min(1, (seen - total + decay) / decay)))


def save_checkpoint(path, state):
    """Write under a temporary name, then rename: a checkpoint that exists is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_checkpoint(path):
    """The saved state, or None when there is none yet."""
    return torch.load(path, weights_only=True) if Path(path).exists() else None


class Log:
    """A CSV of training measurements. On resuming, rows later than the checkpoint are dropped."""

    def __init__(self, path, resumed_at):
        self.path = Path(path)
        self.rows = []
        if self.path.exists():
            with self.path.open() as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= resumed_at]

    def add(self, **row):
        """Append a row and rewrite the file; floats keep five significant digits."""
        self.rows.append(
            {name: f"{value:.5g}" if isinstance(value, float) else value for name, value in row.items()}
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            writer.writeheader()
            writer.writerows(self.rows)

    @property
    def seconds(self):
        """Training time so far, over all resumed runs."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0


def card_options(options):
    """The command line as a card keeps it: without the folders, which say where somebody trained, not how."""
    return {name: value for name, value in vars(options).items() if name not in ("out", "run", "threads")}


def write_weights(folder, tensors, *, config, card, name="model.safetensors"):
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
    save_file({key: value.half().contiguous() for key, value in tensors.items()}, folder / name)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    body = {**card, "commit": _commit(), "torch": torch.__version__, "sha256": digest}
    (folder / "card.json").write_text(json.dumps(body, indent=2) + "\n")


def _commit():
    """The last commit that changed the code of training, marked when the working tree differs from it."""
    code = ["--", "data_prep", "difffeat/*.py", "difffeat/backbones/*.py"]
    commit = _git("log", "-1", "--abbrev=12", "--format=%h", *code)
    return commit + ("-modified" if commit and _git("status", "--porcelain", *code) else "") or "unknown"


def _git(*arguments):
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return run.stdout.strip()
