"""All places inside the blocks of a DiT in one pass, against the pass that reads block outputs alone.

Run by hand, on an otherwise idle machine: python benchmarks/places.py [--help]

One timestep, latents at hand, features pooled over tokens. Three ways, each measured in turn, several times
over; the fastest run of each counts, and the table says how far the others were from it:

- outputs: the output of every block,
- places: those and every place inside every block, the statistics of attention maps among them,
- published: a run for each set of activations, as the published code of the second paper does it: a set is
  one place of all blocks, and a run is a whole pass of the model with hooks.

Ratios are to the first. Without the statistics of attention maps stands in a row of its own.
"""

import argparse
import time
from functools import partial

import torch
from full_size import peak
from probe_grid import machine

from difffeat.backbones import PRECISIONS
from difffeat.backbones.dit import DiT
from difffeat.features.points import OUT
from difffeat.features.pooling import areas

MEAN = partial(areas, pooling="mean")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
STATISTICS = ("attention-entropy", "attention-distance")


def build(args):
    """A DiT with random weights, which take as long as trained ones."""
    torch.manual_seed(0)
    return DiT(
        channels=args.channels, side=args.side, patch=args.patch, width=args.width, depth=args.depth,
        heads=args.heads, classes=1, closed_gates=False,
    ).eval().to(args.device).run_in(PRECISIONS[args.precision])  # fmt: skip


def read(model, latents, args, places):
    """{(block, place): features (N, D)} of one pass over all batches."""
    found = {}
    for z in latents.split(args.batch_size):
        read = model.activations(z, args.timestep, range(1, args.depth + 1), places, pool=MEAN)
        for block, place, means in read:
            found.setdefault((block, place), []).append(means[:, 0])
    return {key: torch.cat(parts).cpu() for key, parts in found.items()}  # waits for a GPU


def published(model, latents, args, places):
    """The same, a run for each place."""
    found = {}
    for place in places:
        found |= read(model, latents, args, [place])
    return found


def seconds(call, clock):
    """What a call took by a clock, and what it returned."""
    begin = clock()
    value = call()
    return clock() - begin, value


def main():
    form = {"description": __doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(**form)
    parser.add_argument("--samples", type=int, default=192, help="images N")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--timestep", type=int, default=50)
    parser.add_argument("--depth", type=int, default=12, help="DiT-XL/2 has 28")
    parser.add_argument("--width", type=int, default=96, help="D; DiT-XL/2 has 1152")
    parser.add_argument("--heads", type=int, default=3, help="DiT-XL/2 has 16")
    parser.add_argument("--channels", type=int, default=20, help="latent channels C; DiT-XL/2 has 4")
    parser.add_argument("--side", type=int, default=8, help="latent size H = W; DiT-XL/2 has 32")
    parser.add_argument(
        "--patch", type=int, default=1, help="latent pixels to a token's side; DiT-XL/2 has 2"
    )
    parser.add_argument("--repeats", type=int, default=7, help="runs of each way; the fastest counts")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="of one thread among other work: processor"
    )
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    report(args)


def report(args):
    """Run the ways in turn, compare what they read, print the table."""
    model = build(args)
    latents = torch.randn(args.samples, args.channels, args.side, args.side, device=args.device)
    every = [OUT, *model.places]
    plain = [place for place in every if place not in STATISTICS]
    ways = {
        "outputs": lambda: read(model, latents, args, [OUT]),
        "places": lambda: read(model, latents, args, every),
        "places, no attention maps": lambda: read(model, latents, args, plain),
        "published": lambda: published(model, latents, args, every),
    }
    read(model, latents[: args.batch_size], args, every)  # warm
    taken, found = {name: [] for name in ways}, {}
    for _ in range(args.repeats):
        for name, way in ways.items():
            passed, found[name] = seconds(way, CLOCKS[args.clock])
            taken[name].append(passed)
    apart = max(
        (found["published"][key] - values).abs().max().item() for key, values in found["places"].items()
    )
    print(machine(args.device))
    print(
        f"N = {args.samples}, D = {args.width}, {args.depth} blocks, {len(every)} places, "
        f"batch {args.batch_size}"
    )
    print(f"largest difference of a feature, one pass against a run for each place: {apart:.1e}")
    print(f"most memory: {peak(args.device):.2f} GB")
    print(f"{'':28}{'activations':>12}{'seconds':>10}{'slowest':>10}{'images/s':>10}{'ratio':>8}")
    least = min(taken["outputs"])
    for name, times in taken.items():
        count, fastest = len(found[name]), min(times)
        print(
            f"{name:28}{count:>12}{fastest:10.3f}{max(times):10.3f}{args.samples / fastest:10.1f}"
            f"{fastest / least:8.2f}"
        )


if __name__ == "__main__":
    main()
