"""A page of the book while it runs: its parameters, its data, its models, what it measures and records.

A notebook opens one right after its parameters cell:

    page = study.open(vars(), "20_probe_image_grid")

and asks it for grids and pairs. Data are read, models loaded and features extracted when they are first
needed.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

import data_prep
from data_prep import captions, masking
from difffeat import backbones, profiles
from difffeat.backbones import shipped
from difffeat.evidence import claims, results
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import Page, Result
from difffeat.features import datasets, kinds, parts
from difffeat.features.cache import Features
from difffeat.features.datasets import Split
from difffeat.features.points import OUT
from difffeat.features.recipe import Recipe
from difffeat.probing import activations, floors, grid, object_pairs
from difffeat.probing.activations import Activations
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.pairs import Pairs

WRITTEN, MASKED, ENHANCED = "as written", "masked", "enhanced"  # the kinds of captions


def open(namespace: Mapping, notebook: str) -> "Study":
    """Open the page of a notebook, after its parameters cell.

    Parameters
    ----------
    namespace : dict, the notebook's `vars()`
    notebook : str, its name without `.ipynb`

    Raises
    ------
    ValueError
        As `profiles.parameters` does.
    """
    return Study(profiles.parameters(namespace, notebook))


class Study:
    """What a page works with; made by `open`.

    Attributes
    ----------
    p : profiles.Parameters, every parameter of the page as an attribute
    """

    def __init__(self, p: profiles.Parameters) -> None:
        self.p = p
        self._loaded = {}

    @cached_property
    def data(self) -> dict[str, Split]:
        """Train, val and test, all that there is of them."""
        return data_prep.splits(self.p.data)

    @cached_property
    def original(self) -> dict[str, Split]:
        """Train, val and test with captions as written: the first `samples` of each."""
        return datasets.first(self.data, self.p.samples, self.p.on_broken)

    @cached_property
    def told(self) -> dict[str, dict[str, Split]]:
        """{kind of captions: splits}: as written, and enhanced where the page does that; the paper's last.

        A page with a parameter `mask` has the enhanced ones masked as well, by that word.
        """
        told = {WRITTEN: self.original}
        if hasattr(self.p, "rare_below") and getattr(self.p, "enhanced", True):
            enhanced = captions.enhanced_splits(self.original, rare_below=self.p.rare_below)
            if hasattr(self.p, "mask"):
                told[MASKED] = masking.masked_splits(enhanced, self.p.mask)
            told[ENHANCED] = enhanced
        return told

    @property
    def kind(self) -> str:
        """The kind of captions that stand for the paper's."""
        return list(self.told)[-1]

    @property
    def splits(self) -> dict[str, Split]:
        """Train, val and test with captions of that kind."""
        return self.told[self.kind]

    def model(self, modality: str, trained: bool = True) -> backbones.Backbone:
        """The page's backbone of a modality, or its untrained copy; of two, the last one stays in memory.

        Raises
        ------
        ValueError
            If the backbone that a parameter names reads another modality.
        """
        key = f"{modality}_backbone"
        name = getattr(self.p, key)
        if self._loaded.get(modality, (None,))[0] != trained:
            self._loaded.pop(modality, None)
            model = backbones.load(name, trained=trained, **self.p.models[name])
            if model.modality != modality:
                raise ValueError(f"{self.p.notebook}: {key} is {name!r}, which reads {model.modality}s")
            self._loaded[modality] = trained, model
        return self._loaded[modality][1]

    def training_log(self, modality: str) -> pd.DataFrame:
        """What was measured while the page's backbone of a modality was trained, a row per checkpoint."""
        name = getattr(self.p, f"{modality}_backbone")
        return shipped.training_log(name, self.p.models[name].get("folder"))

    @property
    def length(self) -> dict[str, int]:
        """How long probes are trained, as `probe.fit_grid` takes it: in epochs where the page sets them."""
        return dict(epochs=self.p.epochs) if self.p.epochs else dict(steps=self.p.steps)

    @property
    def floor(self) -> dict:
        """How floors are probed and judged, and where they are kept for other pages."""
        return self.judging | self.length | dict(root=self.features)

    @property
    def judging(self) -> dict:
        """How numbers are judged: the metric, and resamples for intervals."""
        return dict(metric=getattr(self.p, "metric", "mAP"), resamples=self.p.resamples)

    def recipe(self, modality: str, **changes: object) -> Recipe:
        """How the page's features of a modality are made; of text without a draw of noise.

        Parameters
        ----------
        modality : "image" or "text"
        **changes : fields of the `Recipe` in place of the page's
        """
        left = [name for name in ("blocks", "timesteps") if name not in changes]
        points = {name: getattr(self.p, f"{modality}_{name}") for name in left}
        if modality == "text":
            how = dict(noising=self.p.deterministic, pooling=self.p.pooling)
        else:
            how = dict(pooling=getattr(self.p, "image_pooling", "mean"))
            how |= dict(places=getattr(self.p, "image_places", (OUT,)))
        return Recipe(**points | how | changes)

    @property
    def floor_points(self) -> dict:
        """The points of a grid that floors are measured at."""
        return dict(blocks=self.p.floor_blocks, timesteps=self.p.floor_timesteps)

    def images(self, *, trained: bool = True, seeds: Sequence[int] | None = None, **changes: object) -> Grid:
        """The grid of image features: of the page's points and noise seeds, unless said otherwise.

        Parameters
        ----------
        trained : bool, False for the untrained copy
        seeds : noise seeds
        **changes : fields of the `Recipe` in place of the page's
        """
        recipe, seeds = self.recipe("image", **changes), self.p.noise_seeds if seeds is None else seeds
        return grid.measure(self.original, self.model("image", trained), recipe, seeds=seeds, **self._probed)

    def images_by_kind(
        self, *, trained: bool = True, seeds: Sequence[int] | None = None, **changes: object
    ) -> dict[str, Grid]:
        """{kind of labels: the grid of image features, probed for labels of that kind alone}; as `images`."""
        model, recipe = self.model("image", trained), self.recipe("image", **changes)
        how = dict(seeds=self.p.noise_seeds if seeds is None else seeds) | self._probed
        return {
            kind: grid.measure(splits, model, recipe, **how)
            for kind, splits in kinds.by_kind(self.original).items()
        }

    def floors_by_kind(self) -> dict[str, list[Floor]]:
        """{kind of labels: label frequency, raw pixels and the untrained copy at the page's points of floors,
        for labels of that kind alone}."""
        untrained = self.images_by_kind(trained=False, seeds=self.p.noise_seeds[:1], **self.floor_points)
        return {
            kind: [
                floors.label_frequency(splits, **self.judging),
                floors.raw_pixels(splits, **self.floor),
                floors.reached("untrained copy", untrained[kind]),
            ]
            for kind, splits in kinds.by_kind(self.original).items()
        }

    def clean(self, **changes: object) -> Grid:
        """The grid of images without noise, of which the model is told that they are noised."""
        return grid.conditioned(
            self.original, self.model("image"), self.recipe("image", **changes), **self._probed
        )

    def texts(
        self,
        kind: str | Mapping[str, Split] | None = None,
        *,
        trained: bool = True,
        seeds: Sequence[int] = (0,),
        **changes: object,
    ) -> Grid:
        """The grid of text features, without a draw of noise unless said otherwise.

        Parameters
        ----------
        kind : "as written", "enhanced" or "masked", by default the paper's; or splits with other captions
        trained : bool, False for the untrained copy
        seeds : noise seeds, of noising that draws
        **changes : fields of the `Recipe` in place of the page's
        """
        splits = kind if isinstance(kind, Mapping) else self.told[kind or self.kind]
        recipe = self.recipe("text", **changes)
        return grid.measure(splits, self.model("text", trained), recipe, seeds=seeds, **self._probed)

    @property
    def _probed(self):
        """Where features are, and how they are probed and judged."""
        return dict(root=self.features, probing=self.length) | self.judging

    def activations(
        self, trained: bool = True, splits: Mapping[str, Split] | None = None, **changes: object
    ) -> Activations:
        """Tokens of the page's pictures at its `inside_blocks`, `inside_timesteps` and `places`, for tasks on
        them.

        Parameters
        ----------
        trained : bool, False for the untrained copy
        splits : dict of part to Split, by default the page's
        **changes : fields of the `Recipe` in place of the page's
        """
        points = dict(blocks=self.p.inside_blocks, timesteps=self.p.inside_timesteps, places=self.p.places)
        recipe = Recipe(**points | dict(pooling="none") | changes)
        return Activations(splits or self.original, self.model("image", trained), recipe)

    def label_maps(self, splits: Mapping[str, Split] | None = None) -> tuple[dict, tuple[str, ...]]:
        """Label maps of the page's pictures, {part: uint8 (N, S, S)}, and the names of their classes.

        Parameters
        ----------
        splits : dict of part to Split, by default the page's
        """
        splits = splits or self.original
        maps = {part: data_prep.maps(self.p.data, part) for part in splits}
        return activations.label_maps(splits, maps, self.model("image")), maps["train"].names

    def pairs_of_objects(self, each: int, seed: int = 0) -> dict[str, object_pairs.Pairs]:
        """Pairs of objects of a category in two pictures: those that the data set names, or drawn.

        Parameters
        ----------
        each : int, targets that are drawn for an object
        seed : int, of the draw
        """
        found = {}
        for part, split in self.original.items():
            objects, chosen = data_prep.objects(self.p.data, part), data_prep.pairs(self.p.data, part)
            if chosen is None:
                held = set(split.ids.tolist())
                objects = [one for one in objects if one.image in held]
                chosen = object_pairs.drawn(objects, each, seed)
            found[part] = object_pairs.framed(objects, chosen, split, self.model("image"))
        return found

    def fill(
        self, modality: str, splits: Mapping[str, Split], *, seeds: Sequence[int] = (0,), **changes: object
    ) -> pd.DataFrame:
        """Extract this machine's share of a modality's features; what is there then, see `parts.fill`."""
        files = dict(shard=self.p.shard, batch_size=self.p.batch_size, shard_size=self.p.shard_size)
        recipe = self.recipe(modality, **changes)
        return parts.fill(splits, self.model(modality), recipe, root=self.features, seeds=seeds, **files)

    def provenance(self, modality: str, **changes: object) -> dict:
        """What decides the features of test, as shards keep it."""
        return self.recipe(modality, **changes).of(self.splits["test"], self.model(modality))

    def pairs(
        self,
        images: Sequence[Mapping[str, Features]],
        texts: Sequence[Mapping[str, Features]],
        head: str = "addition",
        kind: str | None = None,
        **how: object,
    ) -> Pairs:
        """Fused features of two grids: `pairs.Pairs` as long as the page's probes.

        Parameters
        ----------
        images, texts : sequences of features, one for each noise seed, as a Grid has them
        head : name in heads.HEADS
        kind : of the captions that the texts were, as in `texts`
        **how : as for `Pairs`, in place of the page's
        """
        told = dict(d_align=self.p.d_align, resamples=self.p.resamples, root=self.features)
        told |= dict(device=next((model.device for _, model in self._loaded.values()), "cpu"))
        length = {} if {"steps", "epochs"} & how.keys() else self.length
        return Pairs(self.told[kind or self.kind], images, texts, head, **told | length | how)

    @property
    def features(self) -> Path:
        """Where the caches of features are."""
        return self.p.cache / "features"

    @property
    def table(self) -> int:
        """The number of the paper's table that prints the grids of this data set, or stands in for it."""
        return paper.grid_table(self.p.dataset)

    def check(self, claim: str, *measured: object, **options: object) -> Result:
        """Test one of the paper's claims on measured numbers; see `claims.check`."""
        return claims.check(claim, *measured, table=self.table, **options)

    def record(self, *found: Result, of: Iterable[Grid] = (), **how: object) -> Page:
        """Write what the page measured; see `results.record`.

        Parameters
        ----------
        *found : Result
        of : the grids behind it
        """
        caches = [held["test"] for measured in of for held in measured.features]
        return results.record(self.p, *found, cache=caches, **how)
