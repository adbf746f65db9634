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
from types import MappingProxyType

import torch
from safetensors.torch import save
from torch import nn

from difffeat.backbones.shipped import weights_folder
from difffeat.base.files import write_whole
from difffeat.base.run import machine, run_taken

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


def parser(description: str, models: Mapping, default: str) -> tuple[argparse.ArgumentParser, str]:
    """A parser with the options that every training takes, and the model that the command line names.

    The options of that model are the defaults: set them after the others are added, whose own would win.

    Parameters
    ----------
    description : str
    models : dict of name to a model
    default : str, the model where none is named
    """
    first = argparse.ArgumentParser(add_help=False)
    first.add_argument("--model", choices=models, default=default, help="which model to train")
    name = first.parse_known_args()[0].model
    found = argparse.ArgumentParser(
        description=description, parents=[first], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = found.add_argument
    add("--out", default=str(weights_folder(name)), help="where weights, config, card and log go")
    add(
        "--run",
        default=f"runs/{name}",
        help="where checkpoints are kept while training, and latents of pictures",
    )
    add("--samples", type=int, help="samples to see in all; may be changed until the decay begins")
    add("--decay", type=int, help="samples of the final cosine decay of the learning rate")
    add("--data-seed", type=int, default=0, help="of scenes")
    add("--width", type=int)
    add("--heads", type=int)
    add("--device", default="cpu", help="where the model is trained: cpu, cuda, ...")
    return found, name


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


class Run:
    """What all training runs do alike; the model, its data and its steps are those of a subclass.

    Attributes
    ----------
    options : Namespace, the command line
    data : str, what the card says that the model has seen
    config : dict, the shape of the model
    model, averaged : the model that is trained, and one of its shape for the average of its parameters
    optimizer : AdamW or Muon
    average : Average
    generator : torch.Generator of noise
    step : int, optimizer steps so far
    log : Log
    beside : dict, what its card says of other models that it was trained with
    """

    beside: Mapping = MappingProxyType({})

    def resume(self) -> None:
        """Start at step 0, or where the checkpoint of the run's folder is."""
        folder = Path(self.options.run)
        self.checkpoint, self.step, rows = folder / "checkpoint.pt", 0, None
        if state := load_checkpoint(self.checkpoint, self.options.device):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average.parameters, self.step = state["average"], state["step"]
            self.generator.set_state(state["generator"])
            rows = state.get("log")  # not in older checkpoints
        self.log = Log(folder / "log.csv", self.step, rows)

    @property
    def seen(self) -> int:
        """Samples seen so far."""
        return self.step * self.options.batch

    def write_inputs(self, out: Path) -> None:
        """Write what makes inputs of the model out of pictures or texts."""
        raise NotImplementedError

    def save(self, seconds: float, validation_loss: float) -> None:
        """Write the averaged model as it is to be shipped, and last the checkpoint: a kill loses nothing."""
        out = Path(self.options.out)
        card = {
            "model": self.options.model,
            "data": self.data,
            **self.beside,
            "options": card_options(self.options),
            "steps": self.step,
            "samples": self.seen,
            "seconds": round(seconds),
            "machine": machine(run_taken()),
            "validation_loss": validation_loss,
        }
        write_weights(out, self.averaged.state_dict(), config=self.config, card=card)
        self.write_inputs(out)
        write_whole(out / "log.csv", self.log.path.read_bytes())
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.parameters,
            "step": self.step,
            "generator": self.generator.get_state(),
            "log": self.log.rows,
        }
        save_checkpoint(self.checkpoint, state)
