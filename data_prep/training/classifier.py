"""Train the small supervised classifier of scenes that judges sampled images.

It sees labels, which the diffusion models never do, so it serves two purposes: to say whether a sampled image
holds an object that it recognises, and as a ceiling beside the probes.
"""

import argparse
import time
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import nn

from data_prep.scenes.drawing import render
from data_prep.scenes.generate import FIRST_INDEX
from data_prep.scenes.world import CATEGORIES, layout
from data_prep.training.shared import card_options, restart_with_fast_malloc, write_weights
from difffeat.backbones import weights_folder
from difffeat.backbones.latents import pixels
from difffeat.base.checked import json_object
from difffeat.base.checkpoint import check_tensors, read_checkpoint
from difffeat.base.contents import digests
from difffeat.base.progress import bar
from difffeat.probing.metrics import mean_average_precision

NAME, SIDE = "classifier-scenes", 64


class Classifier(nn.Sequential):
    """Seven convolutions on (N, 3, 64, 64) pixels in [-1, 1]; logits (N, K), of 20 categories by default."""

    def __init__(self, labels: int = len(CATEGORIES)) -> None:
        widths = [(3, 24, 2), (24, 48, 2), (48, 48, 1), (48, 96, 2), (96, 96, 1), (96, 128, 2), (128, 128, 1)]
        layers = [layer for inner, outer, stride in widths for layer in self.layer(inner, outer, stride)]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, labels))

    @staticmethod
    def layer(inner: int, outer: int, stride: int) -> tuple[nn.Module, ...]:
        """Convolution, normalisation, activation."""
        return nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False), nn.BatchNorm2d(outer), nn.ReLU()


def load() -> Classifier:
    """The shipped classifier, ready to judge; ValueError if its file is not that of its card."""
    classifier, path = Classifier().eval(), weights_folder(NAME) / "model.safetensors"
    card = json_object(path.with_name("card.json"))
    (found,) = digests([path])
    if found != card.get("sha256"):
        raise ValueError(
            f"{path} is not the file that was trained: sha256 {found}, expected {card.get('sha256')}"
        )
    state = read_checkpoint(path)
    check_tensors(state, {name: value.shape for name, value in classifier.state_dict().items()}, path)
    classifier.load_state_dict({name: value.float() for name, value in state.items()})
    return classifier


@torch.inference_mode()
def probabilities(classifier: nn.Module, inputs: torch.Tensor, batch: int = 500) -> torch.Tensor:
    """Label probabilities (N, 20) of pixels (N, 3, 64, 64) in [-1, 1]."""
    return torch.cat([classifier(part).sigmoid() for part in inputs.split(batch)])


def share_found(classifier: nn.Module, images: Iterable[Image.Image], threshold: float = 0.5) -> float:
    """Share of PIL images in which it finds an object with a probability above `threshold`."""
    highest = probabilities(classifier, pixels(images, SIDE)).amax(dim=1)
    return float((highest > threshold).float().mean())


def draw(data_seed: int, start: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scenes as uint8 pixels (count, 3, 64, 64) and labels (count, 20)."""
    drawn, labels = np.empty((count, 3, SIDE, SIDE), np.uint8), np.zeros((count, len(CATEGORIES)), np.float32)
    progress = bar(count, "drawing scenes", "scenes")
    for row in range(count):
        progress.update()
        scene = layout(data_seed, start + row)
        drawn[row] = np.asarray(render(scene, SIDE)[0]).transpose(2, 0, 1)
        labels[row, [CATEGORIES.index(name) for name in scene.categories]] = 1
    return torch.from_numpy(drawn), torch.from_numpy(labels)


def fit(
    classifier: nn.Module, drawn: torch.Tensor, labels: torch.Tensor, epochs: int, batch: int = 64
) -> int:
    """Train in place with a one-cycle learning rate, on the device that the classifier is on.

    Parameters
    ----------
    classifier : Module of pixels (B, 3, S, S) in [-1, 1], returns logits (B, K)
    drawn : uint8 Tensor (N, 3, S, S)
    labels : float32 Tensor (N, K)
    epochs, batch : int; what an epoch has beyond whole batches is left out of it

    Returns
    -------
    int, steps taken
    """
    device, batch = next(classifier.parameters()).device, min(batch, len(drawn))
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=4e-3)
    steps = epochs * (len(drawn) // batch)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    with bar(steps, f"training {NAME}", "steps") as progress:
        for _ in range(epochs):
            for rows in torch.randperm(len(drawn)).split(batch):
                if len(rows) < batch:
                    break
                images = drawn[rows].to(device).float() / 127.5 - 1
                if torch.rand(()) < 0.5:
                    images = images.flip(3)
                truth = labels[rows].to(device)
                nn.functional.binary_cross_entropy_with_logits(classifier(images), truth).backward()
                optimizer.step()
                optimizer.zero_grad()
                plan.step()
                progress.update()
    return steps


def train(options: argparse.Namespace) -> None:
    """Train with a one-cycle learning rate, and ship the weights with the mAP on validation scenes."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    drawn, labels = draw(options.data_seed, 0, options.images)
    classifier, started = Classifier(), time.perf_counter()
    steps = fit(classifier, drawn, labels, options.epochs, options.batch)
    classifier.eval()
    drawn, labels = draw(options.data_seed, FIRST_INDEX["val"], 2000)
    scores = probabilities(classifier, drawn.float() / 127.5 - 1)
    card = {
        "model": NAME,
        "options": card_options(options),
        "steps": steps,
        "seconds": round(time.perf_counter() - started),
        "validation_map": round(float(mean_average_precision(labels.numpy(), scores.numpy())), 4),
    }
    write_weights(options.out, classifier.state_dict(), config={"categories": CATEGORIES}, card=card)
    print(f"mAP on 2000 validation scenes: {card['validation_map']:.3f}; weights in {options.out}")


def main() -> None:
    """Command line: `python -m data_prep.training.classifier --help`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", default=str(weights_folder(NAME)), help="where the weights and the card go")
    parser.add_argument("--images", type=int, default=12_000, help="scenes drawn for training")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    restart_with_fast_malloc()
    main()
