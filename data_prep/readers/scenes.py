"""Reader of the generated scenes: drawn on the first call, in COCO's layout, and read as COCO is."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from data_prep.kept import PARTS, make_once
from data_prep.readers import boxed, coco, coco_objects
from data_prep.scenes import COUNTS, VERSION, generate
from data_prep.scenes.keypoints import complete, with_keypoints
from difffeat.base.checked import json_object
from difffeat.base.files import cache_root
from difffeat.base.progress import shown
from difffeat.features.datasets import Split
from difffeat.features.dense import Annotated, LabelMaps

OWN = {part: part for part in PARTS}
FORMER = {"kind": "scenes"}  # of files that do not say it


def made_by() -> list:
    """What decides its pictures besides the settings: with another one, what was prepared serves no more."""
    return [VERSION, COUNTS]


def home(kind: str = "scenes", **_: object) -> Path:
    """Where they are drawn unless a folder is named."""
    return cache_root() / named(kind) / "data"


def named(kind: str) -> str:
    """The data set's name."""
    return "scenes" if kind == "scenes" else f"scenes-{kind}"


def gives(kind: str = "scenes", fields: Sequence[str] = (), **_: object) -> set[str]:
    """What a page can find in these data."""
    always = {"images", "captions", "scenes", "masks", "keypoints"}
    if fields:
        return always | {"kinds"}
    return always | ({"one class"} if kind == "single" else set())


def sources(
    folder: Path,
    *,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    workers: int | None = None,
    kind: str = "scenes",
    **_: object,
) -> list[Path]:
    """The annotations; drawn with their pictures where they are not there."""
    instances = [folder / "annotations" / f"instances_{part}.json" for part in PARTS]
    draw = partial(generate, folder, seed=seed, counts=counts, kind=kind, workers=workers, progress=shown())
    make_once(instances, folder, draw)
    return coco.sources(folder, parts=OWN)


def read(
    folder: Path | None = None,
    *,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    workers: int | None = None,
    caption: int = 0,
    unlabelled: bool = True,
    kind: str = "scenes",
    fields: Sequence[str] = (),
    small: float = 0.11,
    large: float = 0.21,
) -> dict[str, Split]:
    """Train, val and test of the scenes.

    Parameters
    ----------
    folder : path of the folder that holds them; by default one in the cache
    seed : int, the data seed
    counts : dict of part to number of images; by default `scenes.COUNTS`
    workers : int, processes that draw
    caption, unlabelled : as for `coco.read`
    kind : one of `scenes.KINDS`, see `scenes.generate`
    fields : of what kinds the labels are, out of `boxed.FIELDS`; by default the categories, without a kind
    small, large : float, as for `boxed.with_fields`. The defaults cut a quarter of the boxes off at either
        end. By COCO's own cut nearly all would be large: 96 x 96 pixels are 3 % of a photograph of 640 x 480.

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError, ValueError
        If its files are damaged, or are scenes of another seed, version or number; the message names the
        folder, which may be deleted.
    """
    try:
        splits = coco.read(folder, dataset=named(kind), parts=OWN, caption=caption, unlabelled=unlabelled)
        info = json_object(folder / "annotations" / "captions_test.json").get("info")
    except (FileNotFoundError, ValueError) as error:
        damage = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise damage(f"{error}; if its files are damaged, delete {folder}: they are drawn again") from error
    info = info if isinstance(info, dict) else {}
    for what, wanted in (("seed", seed), ("version", VERSION), ("kind", kind)):
        if info.get(what, FORMER.get(what)) != wanted:
            raise ValueError(
                f"{folder} holds scenes of {what} {info.get(what)}, {wanted} is asked for: "
                f"delete that folder to have them drawn again, or name another"
            )
    for part, count in (counts or COUNTS).items():
        if len(splits[part]) != count:
            raise ValueError(
                f"{folder} holds {len(splits[part])} scenes for {part}, {count} are asked for: "
                f"delete that folder to have them drawn again, or name another"
            )
    if not fields:
        return splits
    files = {part: folder / "annotations" / f"instances_{part}.json" for part in splits}
    cuts = dict(small=small, large=large)
    return {part: boxed.with_fields(split, files[part], fields, **cuts) for part, split in splits.items()}


def maps(folder: Path, part: str, **_: object) -> LabelMaps:
    """What every pixel of a part shows: background, or one of the categories."""
    return coco_objects.maps(folder / "annotations" / f"instances_{part}.json")


def objects(folder: Path, part: str, **_: object) -> list[Annotated]:
    """The things of a part with their keypoints; of scenes that were drawn without, these are added first."""
    try:
        return coco_objects.objects(complete(folder, part))
    except OSError:  # where nothing can be written
        instances = folder / "annotations" / f"instances_{part}.json"
        return coco_objects.objects(instances, with_keypoints(json_object(instances), instances))
