"""Train `plaid-scenes`, the text backbone of the scenes profile, from scratch.

A small Plaid on captions of scenes (the probes' training captions are among them, the validation and test
captions are not): learned embeddings, a learned noise schedule with learned bounds, self-conditioning, and
the variational loss with its reconstruction, prior and diffusion terms. Stopped at any time, the same command
goes on from the last checkpoint.
"""

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional

from data_prep.captions import enhance
from data_prep.scenes.generate import FIRST_INDEX
from data_prep.scenes.language import captions
from data_prep.scenes.world import CATEGORIES
from data_prep.training.shared import (
    Average,
    Log,
    card_options,
    learning_rate,
    load_checkpoint,
    restart_with_fast_malloc,
    save_checkpoint,
    write_weights,
)
from data_prep.training.variational import (
    AT_ZERO,
    Terms,
    loss_terms,
    prior_term,
    token_weights,
    training_step,
)
from difffeat.backbones import weights_folder
from difffeat.backbones.plaid import END, Plaid
from difffeat.base.files import write_whole
from difffeat.base.progress import bar
from difffeat.features.schedule import PlaidSchedule

# Share of the training texts that are a caption, a caption and a list of labels, three captions of a scene.
# Only the last kind says a thing more than once: without it the model could read every word by itself.
SHARES = (0.3, 0.25, 0.45)
CALLED_RARE = 0.25  # share of the lists whose labels are all named again as rare; few really are
FULL_EVERY = 2  # one batch in this many is read at full length, the others, of texts that fit, at half of it
# Where the learned ends of gamma are held: beyond, t = 0 has no noise, or t = 1 still shows the text.
BOUNDS = {"gamma_0": (-4.5, -2.0), "gamma_1": (4.0, 8.0)}
RATES = {"network": 2e-3, "embedding": 1e-3, "schedule": 1e-3, "bounds": 5e-4}
VALIDATION_TEXTS = 256


def parse_arguments() -> argparse.Namespace:
    """The command line; every default is what the shipped weights were trained with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--out", default=str(weights_folder("plaid-scenes")), help="where weights, config, card and log go")
    add("--run", default="runs/plaid-scenes", help="where checkpoints are kept while training")
    add("--samples", type=int, default=160_000, help="samples to see; may be changed until the decay begins")
    add("--decay", type=int, default=70_000, help="samples of the learning rate's final cosine decay")
    add("--texts", type=int, default=60_000, help="texts to train on")
    add("--data-seed", type=int, default=0)
    add("--vocabulary", type=int, default=768, help="entries of the tokenizer")
    add("--length", type=int, default=48, help="tokens that a text is cut or padded to")
    add("--width", type=int, default=128)
    add("--depth", type=int, default=8)
    add("--heads", type=int, default=4)
    add(
        "--output-prior",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="add what a noised embedding alone says of its token to the logits, as in the published model; "
        "with so few tokens that leaves the blocks little to say",
    )
    add("--batch", type=int, default=64, help="texts of a step, a multiple of 8")
    add("--seed", type=int, default=0, help="of initialisation, mixture, batch order and noise")
    add("--threads", type=int, default=1)
    add("--device", default="cpu", help="where the model is trained: cpu, cuda, ...")
    add("--save-every", type=int, default=250, help="steps between checkpoints")
    return parser.parse_args()


def training_texts(data_seed: int, count: int, seed: int) -> list[str]:
    """Texts of every kind the model will be asked to read.

    A list of labels is that of *another* image: the model learns that such lists follow captions, not the
    answer.
    """
    known = captions(data_seed, 0, count)
    random = np.random.default_rng([seed, count])
    kinds = random.choice(len(SHARES), size=count, p=SHARES)
    texts = []
    for (sentences, _), kind, other in zip(known, kinds, random.permutation(count), strict=True):
        names = [CATEGORIES[label] for label in known[other][1]]
        listed = enhance(sentences[0], names, rare=names if random.random() < CALLED_RARE else ())
        texts.append((sentences[0], listed, " ".join(sentences[:3]))[kind])
    return texts


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE: any text can be written in it, and nearly every word of these is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def spread(count: int, size: int, generator: torch.Generator, steps: int = 300) -> torch.Tensor:
    """A spherical code: unit vectors (count, size) pushed apart, so that no two tokens start close."""
    points = functional.normalize(torch.randn(count, size, generator=generator), dim=1)
    for step in range(steps):
        cosine = points @ points.T
        push = (20 * (cosine - 1)).exp().fill_diagonal_(0)
        points = functional.normalize(points - 0.5 * (1 - step / steps) * push @ points, dim=1)
    return points


def noun_cosine(model: Plaid) -> float:
    """Highest cosine between the embeddings of two category names; near 1 the model confuses them."""
    tokens = [model.tokenizer.encode(" " + name).ids for name in CATEGORIES]
    nouns = model.embeddings.detach()[[ids[0] for ids in tokens if len(ids) == 1]]
    return float((nouns @ nouns.T).fill_diagonal_(-1).max())


class Validation:
    """The variational bound of fixed captions with fixed noise and times, in nats per token."""

    def __init__(self, model: Plaid, data_seed: int) -> None:
        first = FIRST_INDEX["val"]
        known = captions(data_seed, first, first + VALIDATION_TEXTS)
        self.ids, mask = model.tokenize([sentences[0] for sentences, _ in known])
        self.weights = token_weights(mask)
        generator = torch.Generator().manual_seed(1)
        self.noise = torch.randn(*self.ids.shape, model.matrix.shape[1], generator=generator)
        zeros = VALIDATION_TEXTS // AT_ZERO
        self.times, later = slice(zeros, None), VALIDATION_TEXTS - zeros
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


@torch.no_grad()
def keep_in_bounds(schedule: PlaidSchedule) -> None:
    """Hold the learned ends of gamma within `BOUNDS`."""
    for name, (low, high) in BOUNDS.items():
        getattr(schedule, name).clamp_(low, high)


def prepare(options: argparse.Namespace) -> tuple[list[str], Tokenizer]:
    """Texts and tokenizer, made once and kept in the run's folder.

    Returns
    -------
    texts : list of str
    tokenizer : tokenizers.Tokenizer
    """
    folder = Path(options.run)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"texts-{options.data_seed}-{options.texts}-{options.seed}.json"
    if not path.exists():
        write_whole(path, json.dumps(training_texts(options.data_seed, options.texts, options.seed)).encode())
    texts = json.loads(path.read_text())
    return texts, train_tokenizer(texts, options.vocabulary)


class Run:
    """A training run: everything that changes from step to step, and is kept in its checkpoints."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.checkpoint = options, Path(options.run) / "checkpoint.pt"
        texts, self.tokenizer = prepare(options)
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
        self.ids, self.mask = self.model.tokenize(texts)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model), betas=(0.9, 0.99))
        self.average = Average(self.model)
        self.averaged = Plaid(**self.config, tokenizer=self.tokenizer).to(options.device)
        self.step, rows = 0, None
        if state := load_checkpoint(self.checkpoint, options.device):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average.parameters, self.step = state["average"], state["step"]
            self.generator.set_state(state["generator"])
            rows = state.get("log")  # not in older checkpoints
        self.log = Log(Path(options.run) / "log.csv", self.step, rows)

    @property
    def seen(self) -> int:
        """Texts seen so far."""
        return self.step * self.options.batch

    def advance(self) -> Terms:
        """One optimizer step; returns its `Terms`."""
        options = self.options
        plan = learning_rate(
            self.seen, peak=1.0, total=options.samples, warmup=200 * options.batch, decay=options.decay
        )
        for group in self.optimizer.param_groups:
            group["lr"] = plan * group["peak"]
        batch = (values.to(options.device) for values in self.batch())
        terms = training_step(self.model, *batch, self.generator)
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        keep_in_bounds(self.model.schedule)
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
        fits = self.mask.sum(dim=1).numpy() < length // 2
        if self.step % FULL_EVERY:
            length //= 2
            rows = random.choice(np.flatnonzero(fits), size)
        else:
            long = random.choice(np.flatnonzero(~fits), size // 2)
            rows = random.permutation(np.concatenate([long, random.integers(count, size=size - size // 2)]))
        return self.ids[rows, :length], self.mask[rows, :length]

    def save(self, seconds: float, validation_loss: float) -> None:
        """Write the averaged model as it is to be shipped, and last the checkpoint: a kill loses nothing."""
        options, out = self.options, Path(self.options.out)
        card = {
            "model": "plaid-scenes",
            "data": "scenes",
            "options": card_options(options),
            "steps": self.step,
            "samples": self.seen,
            "seconds": round(seconds),
            "validation_loss": validation_loss,
        }
        write_weights(out, self.averaged.state_dict(), config=self.config, card=card)
        write_whole(out / "tokenizer.json", self.tokenizer.to_str().encode())
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


def train(options: argparse.Namespace) -> None:
    """Train, or go on training; every `save_every` steps measure, log, and write checkpoint and weights."""
    torch.set_num_threads(options.threads)
    run = Run(options)
    validation = Validation(run.model, options.data_seed)
    started, before, recent = time.perf_counter(), run.log.seconds, []
    progress = bar(options.samples, "training plaid-scenes", "texts", initial=run.seen)
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
                gamma_0=float(run.averaged.schedule.gamma_0),
                gamma_1=float(run.averaged.schedule.gamma_1),
                noun_cosine=noun_cosine(run.averaged),
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
