"""What a status depends on: every claim judged again under other protocols, side by side.

The claims are about features, not about how they are probed. Where a status changes with the length of the
probe, the number of training images, the noise seed, the scaling or the weight decay, it says less.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from difffeat.base.progress import bar
from difffeat.evidence import claims
from difffeat.evidence.results import Result
from difffeat.features.recipe import Recipe
from difffeat.probing import grid
from difffeat.probing.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Choice:
    """One protocol, by what is not as in the base.

    Attributes
    ----------
    axis, name : str, what is varied, and to which value
    probing : dict, keyword arguments of `probe.fit_grid` and `fusion.fit_pairs`
    train : int, how many training samples; None for all
    seeds : noise seeds; None for those of the judge
    """

    axis: str
    name: str
    probing: dict = field(default_factory=dict)
    train: int | None = None
    seeds: tuple | None = None

    @property
    def label(self) -> str:
        """The head of its column: "steps 640"."""
        return f"{self.axis} {self.name}"


def choices(
    steps: Iterable[int], base: int, train: Iterable[int], seeds: Sequence[int], decays: Iterable[float]
) -> list[Choice]:
    """The protocols of a page: one axis after another, each with the base among its values.

    Parameters
    ----------
    steps : lengths of the probe
    base : int, the length elsewhere
    train : numbers of training samples besides all of them
    seeds : noise seeds, each alone and all together; the first alone is the base
    decays : weight decays besides 0

    Returns
    -------
    list of Choice
    """
    fixed = dict(steps=base)
    return [
        *(Choice("steps", f"{length:,}", dict(steps=length)) for length in steps),
        *(Choice("training images", f"{count:,}", fixed, train=count) for count in train),
        Choice("training images", "all", fixed),
        *(Choice("noise seed", str(seed), fixed, seeds=(seed,)) for seed in seeds),
        Choice("noise seed", "all", fixed, seeds=tuple(seeds)),
        Choice("scaling", "standard", fixed),
        Choice("scaling", "none", fixed | dict(scale="none")),
        Choice("weight decay", "0", fixed),
        *(Choice("weight decay", f"{decay:g}", fixed | dict(weight_decay=decay)) for decay in decays),
    ]


@dataclass(frozen=True)
class Judge:
    """Judges the claims of the pages on images, text and fusion under one protocol.

    Attributes
    ----------
    original, enhanced : dicts of "train", "val", "test" to Split, captions as written and with labels
    image, text : Backbones
    image_recipe, text_recipe : Recipe; that of text noised without a draw
    root : path, where the caches of features are
    seeds : tuple of int, the noise seeds where a choice names none
    d_align, resamples : int
    """

    original: dict
    enhanced: dict
    image: object
    text: object
    image_recipe: Recipe
    text_recipe: Recipe
    root: object
    seeds: tuple
    d_align: int
    resamples: int

    def __call__(self, choice: Choice) -> dict[str, Result]:
        """{id of a claim: Result} under one protocol."""
        seeds = choice.seeds or self.seeds
        grids = self._grids(choice, seeds)
        results = [
            claims.check("image_unimodal_in_timestep", grids["image"]),
            claims.check("image_unimodal_in_block", grids["image"]),
            claims.check("image_same_best_block", grids["image"]),
            claims.check("image_best_in_middle", grids["image"], depth=self.image.depth),
            claims.check("text_falls_with_timestep", grids["text"]),
            claims.check("text_rises_with_block", grids["text"]),
            claims.check("text_deterministic_beats_random", grids["text"], grids["noised"]),
            claims.check("text_noised_falls_with_timestep", grids["noised"]),
            claims.check("text_noised_rises_with_block", grids["noised"]),
            *self._fusion(choice, grids),
        ]
        return {result.id: result for result in results}

    def _grids(self, choice, seeds):
        """The grids that the claims are about."""
        how = dict(root=self.root, resamples=self.resamples, probing=choice.probing, train=choice.train)
        quiet, noised = self.text_recipe, replace(self.text_recipe, noising="random")
        return {
            "image": grid.measure(self.original, self.image, self.image_recipe, seeds=seeds, **how),
            "text": grid.measure(self.enhanced, self.text, quiet, **how),
            "noised": grid.measure(self.enhanced, self.text, noised, seeds=seeds, **how),
            "written": grid.measure(self.original, self.text, quiet, **how),
        }

    def _fusion(self, choice, grids):
        """The claims of fusion at the best point of each modality."""
        image = grids["image"]

        def fused(splits, text, head):
            how = dict(root=self.root, resamples=self.resamples, train=choice.train, d_align=self.d_align)
            how |= dict(device=self.image.device)
            return Pairs(splits, image.features, text.features, head, **how | choice.probing)[
                image.best, text.best
            ].on_test

        added = fused(self.enhanced, grids["text"], "addition")
        written = fused(self.original, grids["written"], "addition")
        return [
            claims.check("fusion_beats_image", added, image.at_best),
            claims.check("fusion_beats_text", added, grids["text"].at_best),
            claims.check("fusion_beats_concat", added, fused(self.enhanced, grids["text"], "concat")),
            claims.check("fusion_beats_text_written", written, grids["written"].at_best),
        ]


def judged(judge: Judge, choices: Sequence[Choice]) -> dict[Choice, dict[str, Result]]:
    """What a judge finds under each choice, {Choice: {id of a claim: Result}}; equal protocols are judged
    once."""
    known, found = {}, {}
    with bar(len(choices), "protocols", "protocol") as shown:
        for choice in choices:
            same = json.dumps([choice.probing, choice.train, choice.seeds or judge.seeds], sort_keys=True)
            if same not in known:
                known[same] = judge(choice)
            found[choice] = known[same]
            shown.update()
    return found


def steady(found: Mapping[Choice, Mapping[str, Result]]) -> tuple[list[str], list[str]]:
    """Ids of the claims whose status is the same under every protocol, and of those whose status is not."""
    first = next(iter(found.values()))
    same = [claim for claim in first if len({results[claim].status for results in found.values()}) == 1]
    return same, [claim for claim in first if claim not in same]


def details(found: Mapping[Choice, Mapping[str, Result]]) -> list[dict]:
    """What a results file keeps of it: a list of a choice with the numbers of each claim under it."""
    return [
        {
            "axis": choice.axis,
            "name": choice.name,
            "claims": {
                name: {
                    key: getattr(result, key) for key in ("status", "value", "interval", "support", "against")
                }
                for name, result in results.items()
            },
        }
        for choice, results in found.items()
    ]
