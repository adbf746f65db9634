"""Fusion heads of many (image point, text point) pairs: together, one after another, and as a plain loop.

Run by hand, on an otherwise idle machine: python benchmarks/fusion_pairs.py [--help]

All three train the same heads: same first weights, same batches, Adam 1e-3 on a half cosine, batch 128. The
table gives microseconds per step and pair, the ratio to the pairs trained together, and the largest
difference in a probability. The plain loop is what a script would write, `torch.nn.Linear`,
`torch.optim.Adam` and autograd; one pair takes it as long as another, so `--plain` of them are timed.
"""

import argparse

import numpy as np
import torch
from probe_grid import machine, seconds
from torch.nn.functional import binary_cross_entropy_with_logits, normalize

from difffeat.probing.descent import first_linear
from difffeat.probing.fusion import fit_pairs
from difffeat.probing.heads import HEADS


def together(head, images, texts, labels, pairs, how):
    """One call for all pairs."""
    return fit_pairs(head, images, texts, labels, pairs=pairs, **how)


def one_after_another(head, images, texts, labels, pairs, how):
    """The same code, one pair per call."""
    return [together(head, images, texts, labels, [pair], how)[0] for pair in pairs]


class Plain(torch.nn.Module):
    """A head as the paper prints it, in modules of torch."""

    def __init__(self, head, image_width, text_width, labels, d_align):
        super().__init__()
        self.head = head
        widths = {"image": image_width, "text": text_width}
        projections = HEADS[head][1]
        self.projections = torch.nn.ModuleDict(
            {
                name: torch.nn.Linear(widths[modality], d_align, bias=False)
                for name, modality in projections.items()
            }
        )
        joined = {"concat": image_width + text_width, "linear_concat": 2 * d_align}.get(head, d_align)
        self.classifier = torch.nn.Linear(joined, labels)
        generator = torch.Generator().manual_seed(0)
        for layer in (*self.projections.values(), self.classifier):
            weight, bias = first_linear(layer.in_features, layer.out_features, generator)
            layer.load_state_dict({"weight": weight} | ({} if layer.bias is None else {"bias": bias[:, 0]}))
        self.generator = generator

    def forward(self, image, text):
        return self.classifier(self._joined(image, text))

    def _joined(self, image, text):
        if self.head == "concat":
            return torch.cat([normalize(image), normalize(text)], dim=1)
        inputs = {"image": image, "text": text}
        read = {name: layer(inputs[HEADS[self.head][1][name]]) for name, layer in self.projections.items()}
        if self.head == "addition":
            return read["image"] + read["text"]
        if self.head == "linear_concat":
            return torch.cat([read["image"], read["text"]], dim=1)
        axis = 2 if self.head == "channel_attention" else 1
        query, key, value = (read[name].unsqueeze(axis) for name in ("query", "key", "value"))
        attention = torch.softmax(query @ key.mT / read["query"].shape[1] ** 0.5, dim=-1)
        return (attention @ value).squeeze(axis)


def plain(head, image, text, labels, d_align, steps, batch_size=128):
    """Probabilities of one pair trained by autograd."""
    image, text = ((x - x.mean(dim=0)) / x.std(dim=0, correction=0) for x in (image, text))
    target = torch.from_numpy(labels).float().to(image.device)
    model = Plain(head, image.shape[1], text.shape[1], labels.shape[1], d_align).to(image.device)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps)
    done = 0
    while done < steps:
        for rows in torch.randperm(len(image), generator=model.generator).split(batch_size)[: steps - done]:
            adam.zero_grad()
            binary_cross_entropy_with_logits(model(image[rows], text[rows]), target[rows]).backward()
            adam.step()
            cosine.step()
            done += 1
    with torch.inference_mode():
        return torch.sigmoid(model(image, text)).cpu().numpy()


def measure(head, images, texts, labels, pairs, args):
    """Print the rows of one head."""
    d_align = args.d_channels if head == "channel_attention" else args.d_align
    how = dict(d_align=d_align, steps=args.steps)
    scores, first = {}, None
    for way in (together, one_after_another):
        call = lambda way=way: way(head, images, texts, labels, pairs, how)  # noqa: E731
        taken, fused = seconds(call, args.repeats)
        scores[way] = [one.scores(images[i], texts[t]) for one, (i, t) in zip(fused, pairs, strict=True)]
        each = taken / len(pairs)
        first = first or each
        row(head, d_align, way.__name__.replace("_", " "), each, first, scores[together], scores[way], args)
    few = pairs[: args.plain]
    call = lambda: [plain(head, images[i], texts[t], labels, d_align, args.steps) for i, t in few]  # noqa: E731
    taken, found = seconds(call, args.repeats)
    row(head, d_align, "plain torch loop", taken / len(few), first, scores[together][: len(few)], found, args)


def row(head, d_align, way, each, first, expected, found, args):
    """One line of the table, of seconds for each pair."""
    apart = np.abs(np.stack(found) - np.stack(expected)).max()
    micro = 1e6 * each / args.steps
    print(f"{head:20}{d_align:>8}  {way:20}{micro:12.0f}{each / first:8.2f}{apart:20.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=list(HEADS), help="which heads")
    parser.add_argument("--images", type=int, default=5, help="image points")
    parser.add_argument("--texts", type=int, default=3, help="text points; all pairs of both are trained")
    parser.add_argument("--samples", type=int, default=2000, help="samples N")
    parser.add_argument(
        "--widths", type=int, nargs=2, default=(96, 128), help="widths of image and text features"
    )
    parser.add_argument("--labels", type=int, default=20, help="labels K")
    parser.add_argument("--d-align", type=int, default=64, help="alignment width; the paper's is 512")
    parser.add_argument(
        "--d-channels", type=int, default=16, help="that of channel attention, which is quadratic"
    )
    parser.add_argument("--steps", type=int, default=100, help="steps of each pair; the paper trains 25,880")
    parser.add_argument("--plain", type=int, default=3, help="pairs that the plain loop trains")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each way; the fastest counts")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    images, texts = (
        torch.from_numpy(random.normal(size=(points, args.samples, width)).astype(np.float32)).to(args.device)
        for points, width in zip((args.images, args.texts), args.widths, strict=True)
    )
    labels = (random.random((args.samples, args.labels)) < 0.1).astype(np.uint8)
    pairs = [(i, t) for i in range(args.images) for t in range(args.texts)]
    print(machine(args.device))
    size = f"{args.samples} samples, widths {tuple(args.widths)}, {args.labels} labels"
    print(f"{len(pairs)} pairs, {size}, {args.steps} steps")
    print(f"{'head':20}{'d_align':>8}  {'':20}{'us/step/pair':>12}{'ratio':>8}{'largest difference':>20}")
    for head in args.heads:
        measure(head, images, texts, labels, pairs, args)


if __name__ == "__main__":
    main()
