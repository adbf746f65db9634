"""From a split and a backbone to a features cache: one pass per timestep serves every block and place.

Letters: N samples in the split, n in a shard, T tokens, D width.

A shard is a contiguous slice of the split. Its inputs are encoded once, then for every timestep noised and
run up to the deepest block, and the tokens of each place are pooled as they come. Shards do not depend on
each other, so several machines can share a split (`shard="2/4"`), and what was killed goes on from the last
complete shard.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from difffeat.base.files import only_writer
from difffeat.base.progress import bar
from difffeat.features import cache, layout, schedule, views
from difffeat.features.datasets import ON_BROKEN, BrokenImage, Split
from difffeat.features.points import Point
from difffeat.features.pooling import MASKED, areas, joined
from difffeat.features.recipe import Recipe, home, identity, location


def extract(
    split: Split,
    backbone: nn.Module,
    recipe: Recipe,
    *,
    folder: Path | str,
    batch_size: int | None = None,
    shard_size: int = 1024,
    shard: str = "1/1",
    on_broken: str = "error",
    progress: bool = True,
) -> list[Path]:
    """Write the shards of a split that are not there yet, and the view once all are.

    Memory holds one shard, however large the split: `shard_size` x blocks x places x timesteps x D numbers.

    Parameters
    ----------
    split : Split
    backbone : Backbone
    recipe : Recipe
    folder : path; a folder belongs to one recipe, see `location`
    batch_size : int, samples per forward pass; by default 128 on a GPU, else 16, which stay near a core
    shard_size : int, samples per shard
    shard : "k/n", where n machines share the folder: do the k-th of n runs of shards
    on_broken : "error", or "skip" to leave out images that cannot be decoded; a warning and the cache name
        them, and `split.select(features.ids)` has the labels of the rest
    progress : bool, show a bar on the terminal

    Returns
    -------
    list of Path, the shards of this machine, all of them complete

    Raises
    ------
    ValueError
        As `Recipe`; also for a wrong `shard`.
    BrokenImage
        If an image cannot be decoded and is not to be skipped; the message names the file.
    CacheError
        If the folder holds shards of another recipe or another shard size.
    OSError
        If the disk is full. What is complete is kept, as it is after Ctrl-C or a kill.
    """
    if on_broken not in ON_BROKEN:
        raise ValueError(f"on_broken {on_broken!r} is unknown; known: {', '.join(ON_BROKEN)}")
    if batch_size is None:
        batch_size = 16 if backbone.device.type == "cpu" else 128
    for name, size in (("batch_size", batch_size), ("shard_size", shard_size)):
        if size < 1:
            raise ValueError(f"{name} {size}: expected at least 1")
    plan = recipe.of(split, backbone)
    slices = [(lo, min(lo + shard_size, len(split))) for lo in range(0, len(split), shard_size)]
    paths = [layout.shard_path(folder, split.name, lo, hi) for lo, hi in slices]
    share = _share(shard, len(slices))
    _check_strangers(paths)
    sizes = {path: hi - lo for path, (lo, hi) in zip(paths, slices, strict=True)}
    done = sum(sizes[path] for path in paths[share] if path.is_file())
    skipped = []
    try:
        with bar(
            sum(sizes[path] for path in paths[share]), backbone.name, "samples", progress, done
        ) as samples:
            run = _Run(split, backbone, plan, batch_size, on_broken, samples.update)
            for path, (lo, hi) in zip(paths[share], slices[share], strict=True):
                skipped += run.complete(path, range(lo, hi))
    except KeyboardInterrupt:
        complete = sum(path.is_file() for path in paths[share])
        raise KeyboardInterrupt(
            f"stopped: {complete} of {len(paths[share])} shards of {split.name!r} are complete in {folder}; "
            f"run the same call again to go on"
        ) from None
    if skipped:
        _refuse_or_warn(skipped, split, on_broken)
    if all(path.is_file() for path in paths) and not views.view_is_current(folder, split.name):
        with only_writer(layout.view_path(folder, split.name)):
            views.write_view(folder, split.name)
    return paths[share]


def features(
    split: Split,
    backbone: nn.Module,
    recipe: Recipe,
    *,
    root: Path | str,
    on_broken: str = "error",
    **storing: object,
) -> cache.Features:
    """The features asked for: from a cache under `root` that has them, else extracted into a new one there.

    A cache of the same recipe with more blocks, timesteps or places serves as well.

    Parameters
    ----------
    split, backbone, recipe : as in `extract`
    root : path, the folder of all caches
    on_broken : "error" or "skip"
    **storing : batch_size, shard_size, progress: as in `extract`

    Returns
    -------
    cache.Features, narrowed to the blocks, timesteps and places asked for, in the order asked for

    Raises
    ------
    As `extract`; BrokenImage also if the cache leaves out images and that was not asked for now.
    """
    plan = recipe.of(split, backbone)
    path = _covering(root, plan)
    if path is None:
        folder = location(root, plan)
        extract(split, backbone, recipe, folder=folder, on_broken=on_broken, **storing)
        path = layout.view_path(folder, split.name)
    found = cache.open(path, expected=identity(plan))
    if found.skipped and on_broken == "error":
        _refuse_or_warn(found.skipped, split, on_broken)
    return found.select(recipe.blocks, recipe.timesteps, recipe.places)


def in_memory(
    split: Split, backbone: nn.Module, recipe: Recipe, batch_size: int = 16
) -> dict[Point, np.ndarray]:
    """Features of a split that is small enough to be held, and is not to be kept: {point: float16 (n, ...)}.

    Parameters
    ----------
    split, backbone, recipe : as in `extract`
    batch_size : int

    Returns
    -------
    dict of Point to array, as `Features.read` gives them but for their precision; float32 where half
    precision
        has no such numbers

    Raises
    ------
    As `extract`.
    """
    run = _Run(split, backbone, recipe.of(split, backbone), batch_size, "error", lambda _: None)
    ids, latents, _ = run._encode(range(len(split)))
    return {point: _halved(found) for point, found in run._points(ids, latents)}


def _halved(found):
    return found.astype(np.float16) if np.abs(found).max(initial=0) < 6e4 else found


def _covering(root, plan):
    """The view of a complete cache of this recipe that has all its points, or None."""
    for path in sorted(home(root, plan).glob(f"*/{plan['split']}.h5")):
        held = cache.attributes(path)["provenance"]
        if set(layout.points(plan)) <= set(layout.points(held)) and not cache.missing(path):
            return path
    return None


@dataclass(frozen=True)
class _Run:
    """One extraction: what it reads, with what, and how far it is."""

    split: Split
    backbone: object
    plan: dict
    batch_size: int
    on_broken: str
    advance: Callable[[float], None]

    def complete(self, path: Path, rows: range) -> list:
        """Write the shard of these rows unless it is there; returns the images left out."""
        if not path.is_file():  # a complete cache may lie where no lock can be made
            with only_writer(path):
                self._write(path, rows)
        found = cache.attributes(path)
        layout.check_provenance(path, self.plan, found["provenance"])
        return found["skipped"]

    def _write(self, path: Path, rows: range):
        """Write the shard of these rows, unless somebody has meanwhile."""
        if not path.is_file():
            ids, latents, skipped = self._encode(rows)
            points = self._points(ids, latents)
            cache.write_shard(path, ids=ids, points=points, provenance=self.plan, skipped=skipped)
            self.advance(len(skipped))

    def _encode(self, rows: range):
        """(ids, latents, skipped images) of the rows that can be read; latents are None if none can."""
        parts, kept = [], []
        with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter's lock
            for lo in range(0, len(rows), self.batch_size):
                batch = rows[lo : lo + self.batch_size]
                inputs = dict(zip(batch, pool.map(self._input, batch), strict=True))
                readable = [row for row in batch if inputs[row] is not None]
                if readable:
                    with torch.inference_mode():
                        parts.append(self.backbone.latents([inputs[row] for row in readable]))
                kept += readable
        latents = type(parts[0])(*map(_joined, zip(*parts, strict=True))) if parts else None
        broken = sorted(set(rows) - set(kept))
        skipped = [(int(self.split.ids[row]), self.split.images[row].name) for row in broken]
        return self.split.ids[kept], latents, skipped

    def _input(self, row: int):
        """What the backbone is fed for a row; None for a broken image that is to be skipped."""
        if self.backbone.modality == "text":
            return self.split.captions[row]
        try:
            return self.split.image(row)
        except BrokenImage as error:
            if self.on_broken == "skip":
                return None
            raise BrokenImage(f'{error}; mend the file, or say on_broken="skip" to do without it') from error

    def _points(self, ids: np.ndarray, latents) -> Iterator[tuple[Point, np.ndarray]]:
        """Yield (point, features (n, D)), all blocks and places of a timestep from the same passes."""
        plan, n = self.plan, len(ids)
        noise = None
        if n and plan["noising"] == "random":
            noise = schedule.noise(plan["seed"], ids, latents.z.shape[1:])
        for timestep in plan["timesteps"]:
            found = {}
            for rows, shown in self._batches(latents, n):
                z = self._noised(latents.z[rows], timestep, None if noise is None else noise[rows])
                mask = latents.mask[rows] if plan["pooling"] in MASKED else None
                if shown is not None:
                    z, mask = z[:, :shown], mask[:, :shown]
                for site, features in self._pooled(z, timestep, mask):
                    if site not in found:  # as wide as its tokens come
                        found[site] = np.empty((n, *features.shape[1:]), np.float32)
                    found[site][rows] = features
                self.advance(len(rows) / len(plan["timesteps"]))
            for (block, place), features in (found or self._nothing(timestep)).items():
                yield Point(timestep, block, place), features

    def _pooled(self, z, timestep, mask=None):
        """Yield ((block, place), features of a batch) of one pass."""
        sites, pooling = (self.plan["blocks"], layout.places(self.plan)), self.plan["pooling"]
        told = {"condition": self.plan["condition"], "mask": mask if pooling == "unpadded" else None}
        told["pool"] = partial(areas, pooling=pooling, mask=mask)
        for block, place, found in self.backbone.activations(z, timestep, *sites, **told):
            yield (block, place), joined(found, pooling).cpu().numpy()

    def _nothing(self, timestep):
        """No rows of features, as wide as those of a blank picture: of a shard of which none can be read."""
        blank = torch.zeros(1, *self.backbone.latent_shape)
        return {site: features[:0] for site, features in self._pooled(blank, timestep)}

    def _batches(self, latents, n):
        """Yield (rows of a batch, tokens it needs); None for all. Without padding, texts go by length."""
        rows, lengths = np.arange(n), None
        if n and self.plan["pooling"] == "unpadded":
            lengths = latents.mask.sum(dim=1).numpy()
            rows = np.argsort(lengths, kind="stable")
        for lo in range(0, n, self.batch_size):
            batch = rows[lo : lo + self.batch_size]
            yield batch, None if lengths is None else max(1, int(lengths[batch].max()))

    def _noised(self, z, timestep, noise):
        z = z.to(self.backbone.device)
        noise = None if noise is None else noise.to(z)
        kind, steps = schedule.parted(self.plan["noising"])
        ways = {"noise": noise, "denoiser": self.backbone.predict, "steps": steps}
        return schedule.noised(z, timestep, kind, self.backbone.schedule, **ways)


def _joined(parts):
    """Batches as one tensor; None where no batch has any."""
    return None if parts[0] is None else torch.cat(parts)


def _share(shard: str, count: int) -> slice:
    """The part of `count` shards that machine k of n does, from "k/n"."""
    k, slash, n = shard.partition("/")
    if not (slash and k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise ValueError(f"shard {shard!r}: expected k/n with k from 1 to n, '1/1' for one machine")
    return slice(count * (int(k) - 1) // int(n), count * int(k) // int(n))


def _check_strangers(paths):
    """A folder holds the shards of one division only: others would overlap."""
    strangers = sorted(set(paths[0].parent.glob("*.h5")) - set(paths))
    if strangers:
        raise cache.CacheError(
            f"{strangers[0].parent} holds {strangers[0].name}, which is no shard of this division into "
            f"{paths[0].stem} and so on; use the shard_size it was written with, or another folder"
        )


def _refuse_or_warn(skipped, split, on_broken):
    names = ", ".join(name for _, name in skipped[:5]) + (", ..." if len(skipped) > 5 else "")
    message = f"{len(skipped)} of {len(split)} images of {split.name!r} cannot be decoded: {names}"
    if on_broken == "error":
        raise BrokenImage(f'{message}; the cache is without them: say on_broken="skip" to use it so')
    warnings.warn(f"{message}; they are left out", stacklevel=3)
