"""Train `plaid-scenes`, the text backbone of the scenes profile, from scratch.

A small Plaid on captions of scenes (the probes' training captions are among them, the validation and test
captions are not): learned embeddings, a learned noise schedule with learned bounds, self-conditioning, and
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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from tqdm import tqdm

from data_prep.captions import enhance, rare_categories
from data_prep.scenes.generate import FIRST_INDEX
from data_prep.scenes.language import captions
from data_prep.scenes.world import CATEGORIES
from data_prep.training import (
    Average,
    Log,
    learning_rate,
    load_checkpoint,
    restart_with_fast_malloc,
    save_checkpoint,
    write_weights,
)
from difffeat._files import write_whole
from difffeat.backbones import weights_folder
from difffeat.backbones.plaid import END, Plaid

KINDS = {
    "caption": 0.6,
    "caption with the labels of another image": 0.25,
    "two captions": 0.15,
}  # share of texts
RECONSTRUCTION_WEIGHT = (
    5.0  # at 1 the embeddings of nouns collapse onto each other: fluent texts, useless features
)
AT_ZERO = 8  # one text in this many is read at t = 0, for the reconstruction term
SELF_CONDITIONED = 4  # one text in this many is read with the model's own first estimate
PAD_WEIGHT = 0.1  # of the end tokens after the first: all alike, and often more than the words
BOUNDS = {
    "gamma_0": (-4.5, -2.0),
    "gamma_1": (4.0, 8.0),
}  # beyond, t = 0 has no noise, or t = 1 still shows the text
RATES = {"network": 2e-3, "embedding": 1e-3, "schedule": 1e-3, "bounds": 5e-4}
VALIDATION_TEXTS = 256


class Terms(NamedTuple):
    """The three terms of the variational bound, in nats per token, averaged over texts."""

    reconstruction: torch.Tensor
    prior: torch.Tensor
    diffusion: torch.Tensor


def parse_arguments():
    """The command line; every default is what the shipped weights were trained with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--out", default=str(weights_folder("plaid-scenes")), help="where weights, config, card and log go")
    add("--run", default="runs/plaid-scenes", help="where checkpoints are kept while training")
    add("--samples", type=int, default=260_000, help="samples to see; may be changed until the decay begins")
    add("--decay", type=int, default=110_000, help="samples of the learning rate's final cosine decay")
    add("--texts", type=int, default=60_000, help="texts to train on")
    add("--data-seed", type=int, default=0)
    add("--vocabulary", type=int, default=704, help="entries of the tokenizer")
    add("--length", type=int, default=48, help="tokens that a text is cut or padded to")
    add("--width", type=int, default=128)
    add("--depth", type=int, default=8)
    add("--heads", type=int, default=4)
    add("--batch", type=int, default=64, help="texts of a step, a multiple of 8")
    add("--seed", type=int, default=0, help="of initialisation, mixture, batch order and noise")
    add("--threads", type=int, default=1)
    add("--save-every", type=int, default=250, help="steps between checkpoints")
    return parser.parse_args()


def training_texts(data_seed, count, seed):
    """Texts of every kind the model will be asked to read.

    A label list is that of *another* image: the model learns that such lists follow captions, not the answer.
    """
    known = captions(data_seed, 0, count)
    labels = np.zeros((count, len(CATEGORIES)), np.uint8)
    for row, (_, present) in zip(labels, known, strict=True):
        row[present] = 1
    rare = rare_categories(labels, CATEGORIES)
    random = np.random.default_rng([seed, count])
    kinds = random.choice(len(KINDS), size=count, p=list(KINDS.values()))
    texts = []
    for (caption, _), kind, other in zip(known, kinds, random.permutation(count), strict=True):
        other_caption, other_labels = known[other]
        listed = enhance(caption, [CATEGORIES[label] for label in other_labels], rare)
        texts.append((caption, listed, f"{caption} {other_caption}")[kind])
    return texts


def train_tokenizer(texts, vocabulary):
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


def spread(count, size, generator, steps=300):
    """A spherical code: unit vectors (count, size) pushed apart, so that no two tokens start close."""
    points = functional.normalize(torch.randn(count, size, generator=generator), dim=1)
    for step in range(steps):
        cosine = points @ points.T
        push = (20 * (cosine - 1)).exp().fill_diagonal_(0)
        points = functional.normalize(points - 0.5 * (1 - step / steps) * push @ points, dim=1)
    return points


def noun_cosine(model):
    """Highest cosine between the embeddings of two category names; near 1 the model confuses them."""
    tokens = [model.tokenizer.encode(" " + name).ids for name in CATEGORIES]
    nouns = model.embeddings.detach()[[ids[0] for ids in tokens if len(ids) == 1]]
    return float((nouns @ nouns.T).fill_diagonal_(-1).max())


def token_weights(mask):
    """Weight of each token (N, T) in the loss, rows adding up to 1: pads count less than words."""
    first_end = functional.pad(mask, (1, 0), value=True)[:, :-1] & ~mask
    weights = torch.where(mask | first_end, 1.0, PAD_WEIGHT)
    return weights / weights.sum(dim=1, keepdim=True)


def read(model, z, gamma, self_conditioned):
    """Logits (N, T, V); the rows in `self_conditioned` see the model's own first estimate."""
    previous = torch.zeros_like(z)
    with torch.no_grad():
        first = model(z[self_conditioned], gamma[self_conditioned], previous[self_conditioned])
        previous[self_conditioned] = model.estimate(first)
    return model(z, gamma, previous)


def loss_terms(model, ids, weights, times, gamma, slope, noise):
    """Terms of the variational bound for each text.

    Parameters
    ----------
    model : Plaid
    ids : Tensor of shape (N, T), tokens
    weights : Tensor of shape (N, T), of tokens in the loss, rows add up to 1
    times : slice of the rows that are read at their own time; the rows before it are at t = 0
    gamma, slope : float64 Tensors of shape (N,), gamma and its derivative at each row's time
    noise : Tensor of shape (N, T, E), unit normal

    Returns
    -------
    reconstruction : Tensor of shape (N0,), cross-entropy of the rows at t = 0
    diffusion : Tensor of shape (N - N0,), 0.5 exp(-gamma) gamma' |x - x_hat|^2 of the other rows
    """
    clean = model.embeddings[ids]  # (N, T, E)
    scale = gamma[:, None, None]
    z = (torch.sigmoid(-scale).sqrt() * clean + torch.sigmoid(scale).sqrt() * noise).float()
    logits = read(model, z, gamma, slice(None, None, SELF_CONDITIONED))
    zero = slice(0, times.start)
    entropy = functional.cross_entropy(logits[zero].flatten(0, 1), ids[zero].flatten(), reduction="none")
    error = (clean[times] - model.estimate(logits[times])).square().sum(dim=2)  # (N - N0, T)
    rate = 0.5 * (-gamma[times]).exp() * slope[times]
    return (entropy.view_as(ids[zero]) * weights[zero]).sum(1), (error * weights[times]).sum(1) * rate


def prior_term(gamma_1, size):
    """KL of a noised embedding at t = 1 from a unit normal, in nats per token."""
    variance = torch.sigmoid(gamma_1)
    return 0.5 * (size * (variance - 1 - variance.log()) + torch.sigmoid(-gamma_1))


def training_step(model, ids, mask, generator):
    """Gradients of the loss on one batch, times spread evenly over [0, 1]. Returns its `Terms`.

    The bound does not depend on how gamma rises between its two ends; only its variance does. So the ends
    follow the bound's gradient, and the rise follows the gradient of the variance of the loss over t, which
    is that of the loss with each row weighted by twice its excess over the mean.
    """
    schedule, zeros = model.schedule, len(ids) // AT_ZERO
    later = len(ids) - zeros
    t = (torch.arange(later) + torch.rand(later, generator=generator)) / later
    noise = torch.randn(*ids.shape, model.matrix.shape[1], generator=generator)
    rise, slope = schedule.rise(torch.cat([torch.zeros(zeros), t]))
    low, high = schedule.gamma_0.double(), schedule.gamma_1.double()
    gamma = (low + (high - low) * rise).detach().requires_grad_()
    speed = ((high - low) * slope).detach().requires_grad_()

    times = slice(zeros, None)
    reconstruction, diffusion = loss_terms(model, ids, token_weights(mask), times, gamma, speed, noise)
    terms = Terms(reconstruction.mean(), prior_term(high, noise.shape[2]), diffusion.mean())
    (RECONSTRUCTION_WEIGHT * terms.reconstruction + terms.prior + terms.diffusion).backward()

    excess = 2 * (diffusion.detach() / terms.diffusion.detach() - 1)
    for_rise = torch.cat([excess.new_zeros(zeros), excess])
    for_ends = torch.cat([excess.new_full((zeros,), 1 / RECONSTRUCTION_WEIGHT), torch.ones_like(excess)])
    torch.autograd.backward(
        [low + (high - low) * rise.detach(), (high - low) * slope.detach()],
        [gamma.grad * for_ends, speed.grad * for_ends],
    )
    span = (high - low).detach()
    torch.autograd.backward([span * rise, span * slope], [gamma.grad * for_rise, speed.grad * for_rise])
    return Terms(*(term.detach() for term in terms))


class Validation:
    """The variational bound of fixed captions with fixed noise and times, in nats per token."""

    def __init__(self, model, data_seed):
        first = FIRST_INDEX["val"]
        known = captions(data_seed, first, first + VALIDATION_TEXTS)
        self.ids, mask = model.tokenize([caption for caption, _ in known])
        self.weights = token_weights(mask)
        generator = torch.Generator().manual_seed(1)
        self.noise = torch.randn(*self.ids.shape, model.matrix.shape[1], generator=generator)
        zeros = VALIDATION_TEXTS // AT_ZERO
        self.times, later = slice(zeros, None), VALIDATION_TEXTS - zeros
        self.t = torch.cat([torch.zeros(zeros), (torch.arange(later) + 0.5) / later])

    @torch.no_grad()
    def __call__(self, model):
        """The bound, one float."""
        schedule = model.schedule
        slope = schedule.rise(self.t)[1] * (schedule.gamma_1 - schedule.gamma_0)
        gamma = schedule(self.t)
        terms = loss_terms(model, self.ids, self.weights, self.times, gamma, slope, self.noise)
        prior = prior_term(schedule.gamma_1.double(), self.noise.shape[2])
        return float(terms[0].mean() + prior + terms[1].mean())


def parameter_groups(model):
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
def keep_in_bounds(schedule):
    """Hold the learned ends of gamma within `BOUNDS`."""
    for name, (low, high) in BOUNDS.items():
        getattr(schedule, name).clamp_(low, high)


def prepare(options):
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

    def __init__(self, options):
        self.options, self.checkpoint = options, Path(options.run) / "checkpoint.pt"
        texts, self.tokenizer = prepare(options)
        self.config = {
            "vocabulary": self.tokenizer.get_vocab_size(),
            "width": options.width,
            "depth": options.depth,
            "heads": options.heads,
            "length": options.length,
        }
        torch.manual_seed(options.seed)
        self.model = Plaid(**self.config, tokenizer=self.tokenizer)
        self.generator = torch.Generator().manual_seed(options.seed)
        with torch.no_grad():
            self.model.matrix.copy_(spread(*self.model.matrix.shape, self.generator))
            self.model.output_linear.weight.zero_()
        self.ids, self.mask = self.model.tokenize(texts)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model), betas=(0.9, 0.99))
        self.average, self.averaged = Average(self.model), Plaid(**self.config, tokenizer=self.tokenizer)
        self.step = 0
        if state := load_checkpoint(self.checkpoint):
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average.parameters, self.step = state["average"], state["step"]
            self.generator.set_state(state["generator"])

    @property
    def seen(self):
        """Texts seen so far."""
        return self.step * self.options.batch

    def advance(self):
        """One optimizer step; returns its `Terms`."""
        options = self.options
        plan = learning_rate(
            self.seen, peak=1.0, total=options.samples, warmup=200 * options.batch, decay=options.decay
        )
        for group in self.optimizer.param_groups:
            group["lr"] = plan * group["peak"]
        rows = self.batch()
        terms = training_step(self.model, self.ids[rows], self.mask[rows], self.generator)
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        keep_in_bounds(self.model.schedule)
        self.average.update(self.model, self.step)
        self.step += 1
        return terms

    def batch(self):
        """Rows of this step's texts; the order of an epoch depends on its number alone."""
        per_epoch = len(self.ids) // self.options.batch
        epoch, index = divmod(self.step, per_epoch)
        order = np.random.default_rng([self.options.seed, epoch]).permutation(len(self.ids))
        return torch.from_numpy(order[index * self.options.batch : (index + 1) * self.options.batch])

    def save(self, seconds, validation_loss):
        """Write the checkpoint, and the averaged model as it is to be shipped."""
        options, out = self.options, Path(self.options.out)
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.parameters,
            "step": self.step,
            "generator": self.generator.get_state(),
        }
        save_checkpoint(self.checkpoint, state)
        card = {
            "model": "plaid-scenes",
            "data": "scenes",
            "options": vars(options),
            "steps": self.step,
            "samples": self.seen,
            "seconds": round(seconds),
            "validation_loss": validation_loss,
        }
        write_weights(out, self.averaged.state_dict(), config=self.config, card=card)
        write_whole(out / "tokenizer.json", self.tokenizer.to_str().encode())


def train(options):
    """Train, or go on training; every `save_every` steps measure, log, and write checkpoint and weights."""
    torch.set_num_threads(options.threads)
    run = Run(options)
    validation = Validation(run.model, options.data_seed)
    log = Log(Path(options.run) / "log.csv", run.step)
    started, before, recent = time.perf_counter(), log.seconds, []
    bar = tqdm(total=options.samples, initial=run.seen, unit="text", desc="training plaid-scenes")
    while run.seen < options.samples:
        recent.append(run.advance())
        bar.update(options.batch)
        if run.step % options.save_every == 0 or run.seen >= options.samples:
            seconds = before + time.perf_counter() - started
            measured = validation(run.average.copy_to(run.averaged))
            means = {
                name: float(torch.stack(term).mean())
                for name, term in Terms(*zip(*recent, strict=True))._asdict().items()
            }
            recent.clear()
            log.add(
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
            write_whole(Path(options.out) / "log.csv", log.path.read_bytes())
            bar.set_postfix(
                validation=f"{measured:.4f}", **{name: f"{value:.4f}" for name, value in means.items()}
            )


if __name__ == "__main__":
    restart_with_fast_malloc()
    train(parse_arguments())
