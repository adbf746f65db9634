"""Train a text backbone from scratch: `python -m data_prep.training.plaid --model plaid-scenes`, or another.

A small Plaid on texts without their labels (the probes' training texts are among them, the validation and
test texts are not): learned embeddings, a learned noise schedule with learned bounds, self-conditioning, and
the variational loss with its reconstruction, prior and diffusion terms. Stopped at any time, the same command
goes on from the last checkpoint.
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer

from data_prep.training import shared, texts
from data_prep.training.optimizers import AdamW, Muon
from data_prep.training.shared import Average, learning_rate, restart_with_fast_malloc
from data_prep.training.texts import Texts
from data_prep.training.variational import (
    AT_ZERO,
    Terms,
    loss_terms,
    prior_term,
    token_weights,
    training_step,
)
from data_prep.training.vocabulary import noun_cosine, spread, train_tokenizer
from difffeat.backbones.plaid import Plaid
from difffeat.base.files import write_whole
from difffeat.base.progress import bar
from difffeat.features.schedule import PlaidSchedule

FULL_EVERY = 2  # one batch in this many is read at full length, the others, of texts that fit, at half of it
# Where the learned ends of gamma are held: beyond, t = 0 has no noise, or t = 1 still shows the text.
BOUNDS = {"gamma_0": (-4.5, -2.0), "gamma_1": (4.0, 8.0)}
RATES = {"network": 2e-3, "embedding": 1e-3, "schedule": 1e-3, "bounds": 5e-4}


class Model(NamedTuple):
    """What a model is trained on, and the options that its weights were trained with."""

    data: str  # "scenes", "captions" of real photographs, or the profiles whose texts it sees
    options: dict


MODELS = {
    "plaid-scenes": Model(
        "scenes",
        dict(samples=160_000, decay=70_000, texts=60_000, vocabulary=768, length=48, width=128, heads=4)
        | dict(optimizer="muon", gamma_0=-4.5),
    ),
    "plaid-captions": Model(
        "captions",
        dict(samples=208_000, decay=104_000, texts=0, vocabulary=4096, length=48, width=192, heads=6)
        | dict(optimizer="muon", gamma_0=-4.5),
    ),
    "plaid-fashion": Model(
        "fashion fashion-written",
        dict(samples=120_000, decay=60_000, texts=0, vocabulary=2048, length=24, width=128, heads=4)
        | dict(optimizer="muon", gamma_0=-4.5),
    ),
    "plaid-news": Model(
        "ag_news_small",
        dict(samples=96_000, decay=48_000, texts=0, vocabulary=4096, length=64, width=128, heads=4)
        | dict(optimizer="muon", gamma_0=-4.5),
    ),
}


def parse_arguments() -> argparse.Namespace:
    """The command line; every default is what the shipped weights of that model were trained with."""
    parser, name = shared.parser(__doc__, MODELS, "plaid-scenes")
    add = parser.add_argument
    add("--texts", type=int, help="texts to train on; 0 takes all that the data have")
    add("--vocabulary", type=int, help="entries of the tokenizer")
    add("--length", type=int, help="tokens that a text is cut or padded to")
    add("--depth", type=int, default=8)
    add(
        "--output-prior",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="add what a noised embedding alone says of its token to the logits, as in the published model; "
        "with so few tokens that leaves the blocks little to say",
    )
    add("--optimizer", choices=["adamw", "muon"], default="adamw", help="of the matrices of the blocks")
    add("--gamma-0", type=float, help="hold the low end of gamma there, in place of learning it")
    add("--batch", type=int, default=64, help="texts of a step, a multiple of 8")
    add("--seed", type=int, default=0, help="of initialisation, mixture, batch order and noise")
    add("--threads", type=int, default=1)
    add("--save-every", type=int, default=250, help="steps between checkpoints")
    parser.set_defaults(**MODELS[name].options)
    return parser.parse_args()


def texts_of(options: argparse.Namespace) -> Texts:
    """What the model reads while it is trained, and is validated on."""
    data = MODELS[options.model].data
    if data == "scenes":
        return texts.of_scenes(options.data_seed, options.texts, options.seed)
    if data == "captions":
        return texts.of_captions(options.texts, options.seed)
    return texts.of_profiles(data.split(), options.texts, options.seed)


class Validation:
    """The variational bound of fixed texts with fixed noise and times, in nats per token."""

    def __init__(self, model: Plaid, known: list[str]) -> None:
        self.ids, mask = model.tokenize(known)
        self.weights = token_weights(mask)
        generator = torch.Generator().manual_seed(1)
        self.noise = torch.randn(*self.ids.shape, model.matrix.shape[1], generator=generator)
        zeros = len(known) // AT_ZERO
        self.times, later = slice(zeros, None), len(known) - zeros
        self.t = torch.cat([torch.zeros(zeros), (torch.arange(later) + 0.5) / later])
        on = model.matrix.device
        self.ids, self.weights, self.noise, self.t = (
            values.to(on) for values in (self.ids, self.weights, self.noise, self.t)
        )

    @torch.no_grad()
    def __call__(self, model: Plaid) -> float:
        """The bound, one float."""
        schedule = model.schedule
        slope = schedule.rise(self.t)[1] * (schedule.gamma_1 - schedule.gamma_0)
        gamma = schedule(self.t)
        terms = loss_terms(model, self.ids, self.weights, self.times, gamma, slope, self.noise)
        prior = prior_term(schedule.gamma_1.double(), self.noise.shape[2])
        return float(terms[0].mean() + prior + terms[1].mean())


def parameter_groups(model: Plaid) -> list[dict]:
    """Optimizer groups by learning rate; only the network decays."""
    bounds = [model.schedule.gamma_0, model.schedule.gamma_1]
    schedule = [model.schedule.W1, model.schedule.b1, model.schedule.W2]
    known = {id(parameter) for parameter in (*bounds, *schedule, model.matrix)}
    network = [parameter for parameter in model.parameters() if id(parameter) not in known]
    groups = {"network": network, "embedding": [model.matrix], "schedule": schedule, "bounds": bounds}
    return [
        {"params": group, "peak": RATES[name], "weight_decay": 0.01 if name == "network" else 0.0}
        for name, group in groups.items()
    ]


def optimizer_of(model: Plaid, kind: str) -> AdamW | Muon:
    """The optimizer of a model: AdamW for all of it, or Muon for the matrices of its blocks."""
    groups = parameter_groups(model)
    if kind == "adamw":
        return AdamW(groups)
    taken = {id(parameter) for parameter in model.blocks.parameters() if parameter.ndim == 2}
    for group in groups:
        group["params"] = [parameter for parameter in group["params"] if id(parameter) not in taken]
    return Muon(model.blocks, groups, peak=RATES["network"])


@torch.no_grad()
def keep_in_bounds(schedule: PlaidSchedule, gamma_0: float | None = None) -> None:
    """Hold the learned ends of gamma within `BOUNDS`, or the low end where it is told."""
    bounds = BOUNDS if gamma_0 is None else BOUNDS | {"gamma_0": (gamma_0, gamma_0)}
    for name, (low, high) in bounds.items():
        getattr(schedule, name).clamp_(low, high)


def prepare(options: argparse.Namespace) -> tuple[Texts, Tokenizer]:
    """Texts and tokenizer; the texts are made once and kept in the run's folder."""
    folder = Path(options.run)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"texts-{options.data_seed}-{options.texts}-{options.seed}.json"
    if not path.exists():
        write_whole(path, json.dumps(texts_of(options)._asdict()).encode())
    known = Texts(**json.loads(path.read_text()))
    return known, train_tokenizer(known.train, options.vocabulary)


class Run(shared.Run):
    """A training run: everything that changes from step to step, and is kept in its checkpoints."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.data = options, MODELS[options.model].data
        self.texts, self.tokenizer = prepare(options)
        self.config = {
            "vocabulary": self.tokenizer.get_vocab_size(),
            "width": options.width,
            "depth": options.depth,
            "heads": options.heads,
            "length": options.length,
            "output_prior": options.output_prior,
        }
        torch.manual_seed(options.seed)
        self.model = Plaid(**self.config, tokenizer=self.tokenizer).to(options.device)
        self.generator = torch.Generator().manual_seed(options.seed)
        with torch.no_grad():
            self.model.matrix.copy_(spread(*self.model.matrix.shape, self.generator))
            self.model.output_linear.weight.zero_()
            if options.gamma_0 is not None:
                self.model.schedule.gamma_0.fill_(options.gamma_0)
        self.ids, self.mask = self.model.tokenize(self.texts.train)
        self.fits = self.mask.sum(dim=1).numpy() < options.length // 2
        self.optimizer = optimizer_of(self.model, options.optimizer)
        self.average = Average(self.model)
        self.averaged = Plaid(**self.config, tokenizer=self.tokenizer).to(options.device)
        self.resume()

    def advance(self) -> Terms:
        """One optimizer step; returns its `Terms`."""
        options = self.options
        plan = learning_rate(
            self.seen, peak=1.0, total=options.samples, warmup=200 * options.batch, decay=options.decay
        )
        batch = (values.to(options.device) for values in self.batch())
        terms = training_step(self.model, *batch, self.generator)
        torch.nn.utils.clip_grad_norm_(parameter_groups(self.model)[0]["params"], 1.0)
        self.optimizer.step(plan)
        keep_in_bounds(self.model.schedule, options.gamma_0)
        self.average.update(self.model, self.step)
        self.step += 1
        return terms

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and mask, each (batch, T), of this step's texts, which depend on its number alone.

        Most texts are short and most of their tokens would be padding, hence T is half the length most of the
        time. Texts longer than that make up half of the batches at full length.
        """
        (count, length), size = self.ids.shape, self.options.batch
        random = np.random.default_rng([self.options.seed, self.step])
        if self.step % FULL_EVERY:
            length //= 2
            rows = random.choice(np.flatnonzero(self.fits), size)
        else:
            long = random.choice(np.flatnonzero(~self.fits), size // 2)
            rows = random.permutation(np.concatenate([long, random.integers(count, size=size - size // 2)]))
        return self.ids[rows, :length], self.mask[rows, :length]

    def write_inputs(self, out: Path) -> None:
        """As `shared.Run.write_inputs`."""
        write_whole(out / "tokenizer.json", self.tokenizer.to_str().encode())


def train(options: argparse.Namespace) -> None:
    """Train, or go on training; every `save_every` steps measure, log, and write checkpoint and weights."""
    torch.set_num_threads(options.threads)
    run = Run(options)
    validation = Validation(run.model, run.texts.validation)
    started, before, recent = time.perf_counter(), run.log.seconds, []
    progress = bar(options.samples, f"training {options.model}", "texts", initial=run.seen)
    while run.seen < options.samples:
        recent.append(run.advance())
        progress.update(options.batch)
        if run.step % options.save_every == 0 or run.seen >= options.samples:
            seconds = before + time.perf_counter() - started
            measured = validation(run.average.copy_to(run.averaged))
            means = {
                name: float(torch.stack(term).mean())
                for name, term in Terms(*zip(*recent, strict=True))._asdict().items()
            }
            recent.clear()
            run.log.add(
                step=run.step,
                samples=run.seen,
                seconds=round(seconds),
                loss=sum(means.values()),
                **means,
                gamma_0=run.averaged.schedule.gamma_0.item(),
                gamma_1=run.averaged.schedule.gamma_1.item(),
                noun_cosine=noun_cosine(run.averaged, run.texts.names),
                validation_loss=measured,
            )
            run.save(seconds, measured)
            progress.set_postfix(
                validation=f"{measured:.4f}", **{name: f"{value:.4f}" for name, value in means.items()}
            )


if __name__ == "__main__":
    arguments = parse_arguments()
    restart_with_fast_malloc()
    train(arguments)
