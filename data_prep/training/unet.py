"""Train a small U-Net from scratch: `python -m data_prep.training.unet --model unet-scenes`.

A U-Net of diffusers on patch-PCA latents of scenes drawn for it, without their labels, with transformers at
two resolutions, which attend to a caption: the output of the last block of the frozen text model of scenes.
Now and then it is told the empty caption, with which its features are read. The schedule is that of the other
image models. Stopped at any time, the same command goes on from the last checkpoint.
"""

import argparse
import json

import numpy as np
import torch

from data_prep.scenes.generate import FIRST_INDEX
from data_prep.scenes.language import captions
from data_prep.training import dit, pictures, shared
from data_prep.training.optimizers import Muon, outside
from data_prep.training.shared import Average, restart_with_fast_malloc
from difffeat import backbones
from difffeat.backbones.captioned import EMPTY, CaptionedUNet
from difffeat.backbones.shipped import weights_folder
from difffeat.features.schedule import DDPM

TEXT_MODEL = "plaid-scenes"
MODELS = {
    "unet-scenes": dit.Model(
        "scenes",
        64,
        8,
        "published",
        dict(samples=64_000, decay=32_000, images=60_000, channels=20, width=80, heads=4),
    ),
}


def parse_arguments() -> argparse.Namespace:
    """The command line; every default is what the shipped weights were trained with."""
    parser, name = shared.parser(__doc__, MODELS, "unet-scenes")
    add = parser.add_argument
    add("--images", type=int, help="scenes to train on")
    add("--channels", type=int, help="PCA components kept of each patch of pixels")
    add("--whitening", type=float, default=0.5, help="of the components: 1 for equal variances, 0 for none")
    add("--levels", type=int, default=2, help="resolutions")
    add("--repeats", type=int, default=1, help="residual modules and transformers of a level on the way down")
    add("--groups", type=int, default=16, help="of channels that are normalised together")
    add("--length", type=int, default=24, help="tokens that a caption is cut or padded to")
    add("--silent", type=float, default=0.15, help="share of pictures that come with the empty caption")
    add("--batch", type=int, default=32)
    add("--rate", type=float, default=2e-3, help="peak learning rate")
    add("--seed", type=int, default=0, help="of initialisation, batch order, noise and empty captions")
    add("--threads", type=int, default=2)
    add("--save-every", type=int, default=200, help="steps between checkpoints")
    parser.set_defaults(**MODELS[name].options)
    return parser.parse_args()


class Captions:
    """First captions of scenes as a frozen text model puts them out.

    Parameters
    ----------
    length : int, tokens that a caption is cut or padded to
    device : str
    """

    def __init__(self, length: int, device: str) -> None:
        self.model = backbones.load(TEXT_MODEL, device=device).at_length(length)

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """The last block's tokens (N, S, E) of N strings, without noise."""
        alpha, _ = self.model.schedule.alpha_sigma(0)
        z = alpha * self.model.latents(texts).z
        tokens = self.model.states(z, 0, [self.model.depth])[self.model.depth]
        return tokens.clone()  # one that was made for inference cannot be trained with


class Run(dit.Run):
    """A training run, as that of a DiT, of a model that is told captions."""

    def __init__(self, options: argparse.Namespace) -> None:
        model = MODELS[options.model]
        seen = pictures.scenes(options.data_seed, options.images, model.side)
        self.options, self.data = options, model.profile
        self.pca, self.latents = dit.prepare_latents(options, seen, model)
        self.schedule, self.encode = DDPM(), Captions(options.length, options.device)
        text_card = json.loads((weights_folder(TEXT_MODEL) / "card.json").read_text())
        self.beside = {"text_model": TEXT_MODEL, "text_model_sha256": text_card["sha256"]}
        self.captions = _first(options.data_seed, 0, options.images)
        validated = _first(options.data_seed, FIRST_INDEX["val"], 16 * len(dit.VALIDATION_TIMESTEPS))
        told = self.encode(validated)
        self.validation = dit.Validation(seen, self.pca, self.schedule, options.device, told)
        same = ("channels", "width", "heads", "levels", "repeats", "groups", "length")
        self.config = {name: getattr(options, name) for name in same} | {
            "side": model.side // model.patch,
            "text_width": self.encode.model.width,
            "image_side": model.side,
        }
        torch.manual_seed(options.seed)
        self.model, self.averaged = (self._made() for _ in range(2))
        network = self.model.network
        self.optimizer = Muon(network, [{"params": outside(self.model, network)}])
        self.average, self.generator = Average(self.model), torch.Generator().manual_seed(options.seed)
        self.order = None
        self.resume()

    def _made(self):
        """A new model, which is told the empty caption where none is given."""
        model = CaptionedUNet(**self.config).to(self.options.device)
        model.context.copy_(self.encode([EMPTY]))
        return model

    def told(self, rows: np.ndarray) -> tuple[torch.Tensor]:
        """The captions of these scenes, some of them empty."""
        silent = torch.rand(len(rows), generator=self.generator) < self.options.silent
        texts = [EMPTY if hush else self.captions[row] for row, hush in zip(rows, silent, strict=True)]
        return (self.encode(texts),)


def _first(data_seed, start, count):
    """The first captions of scenes."""
    return [sentences[0] for sentences, _ in captions(data_seed, start, start + count)]


if __name__ == "__main__":
    arguments = parse_arguments()
    restart_with_fast_malloc()
    dit.train(arguments, Run)
