"""A grid of linear probes trained together, one after another, and as a plain torch loop.

Run by hand, on an otherwise idle machine: python benchmarks/probe_grid.py [--help]

All three train the same probes: same first weights, same batches, Adam 1e-3 on a half cosine, batch 128. The
table gives seconds, microseconds per step and probe, the ratio to the grid trained together, and the largest
difference in a probability. The last line is the share of the float32 matrix-multiply rate, measured on
2048 x 2048 matrices before and after, of which the higher counts: other work may share the machine. A step of
a probe takes 4 B D K flops: the logits, and the gradient of the weights.
"""

import argparse
import os
import platform
import time

import numpy as np
import torch

from difffeat.probing.descent import first_linear
from difffeat.probing.probe import fit_grid

BATCH = 128


def together(features, labels, steps):
    """One call for the grid."""
    return fit_grid(features, labels, steps=steps).scores(features)


def one_after_another(features, labels, steps):
    """The same code, one grid point per call."""
    return np.concatenate([together(point[None], labels, steps) for point in features])


def plain(features, labels, steps, batch_size=BATCH, seed=0):
    """What a script would write: `torch.nn.Linear`, `torch.optim.Adam` and autograd, for each grid point."""
    target = torch.from_numpy(labels).float().to(features.device)
    scores = []
    for point in features:
        x = (point - point.mean(dim=0)) / point.std(dim=0, correction=0)
        linear = torch.nn.Linear(x.shape[1], labels.shape[1])
        generator = torch.Generator().manual_seed(seed)
        weight, bias = first_linear(x.shape[1], labels.shape[1], generator)
        linear.load_state_dict({"weight": weight, "bias": bias[:, 0]})
        linear.to(features.device)
        adam = torch.optim.Adam(linear.parameters(), lr=1e-3)
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps)
        done = 0
        while done < steps:
            for rows in torch.randperm(len(x), generator=generator).split(batch_size)[: steps - done]:
                adam.zero_grad()
                torch.nn.functional.binary_cross_entropy_with_logits(linear(x[rows]), target[rows]).backward()
                adam.step()
                cosine.step()
                done += 1
        scores.append(torch.sigmoid(linear(x)).detach().cpu().numpy())
    return np.stack(scores)


def seconds(call, repeats):
    """Least wall time of several calls, and what the last one returned."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        value = call()
        times.append(time.perf_counter() - begin)
    return min(times), value


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--probes", type=int, default=30, help="grid points P (6 timesteps x 5 blocks)")
    parser.add_argument("--samples", type=int, default=4000, help="samples N")
    parser.add_argument("--width", type=int, default=384, help="feature width D")
    parser.add_argument("--labels", type=int, default=20, help="labels K")
    parser.add_argument("--steps", type=int, default=160, help="steps of each probe; the paper trains 25,880")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way; the fastest counts")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    generator = np.random.default_rng(0)
    features = generator.normal(size=(args.probes, args.samples, args.width)).astype(np.float32)
    features = torch.from_numpy(features).to(args.device)
    labels = (generator.random((args.samples, args.labels)) < 0.1).astype(np.uint8)
    before = matmul_rate(args.device)
    flops = 4 * BATCH * args.probes * args.width * args.labels * args.steps
    print(machine(args.device))
    print(f"P, N, D, K = {(*features.shape, args.labels)}, {args.steps} steps")
    print(f"{'':20}{'seconds':>10}{'us/step/probe':>15}{'ratio':>8}{'largest difference':>20}")
    first = None
    for way in (together, one_after_another, plain):
        taken, scores = seconds(lambda way=way: way(features, labels, args.steps), args.repeats)
        first = first or (taken, scores)
        apart, each = np.abs(scores - first[1]).max(), 1e6 * taken / args.steps / args.probes
        name = way.__name__.replace("_", " ")
        print(f"{name:20}{taken:10.2f}{each:15.1f}{taken / first[0]:8.2f}{apart:20.1e}", flush=True)
    rate = max(before, matmul_rate(args.device))
    reached = flops / first[0]
    share = f"{reached / rate:.1%} of the matrix rate"
    print(f"together reaches {reached / 1e9:.1f} of {rate / 1e9:.0f} GFLOP/s, {share}")


def machine(device):
    """What a benchmark ran on."""
    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    ran = f"{platform.machine()}, {threads}" if device == "cpu" else torch.cuda.get_device_name(device)
    return f"{ran}, torch {torch.__version__}"


def matmul_rate(device, side=2048, repeats=5):
    """Floating-point operations a second of a product of large float32 matrices."""
    square = torch.randn(side, side, device=device)
    return 2 * side**3 / seconds(lambda: (square @ square)[0, 0].item(), repeats)[0]


if __name__ == "__main__":
    main()
