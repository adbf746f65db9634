"""Data sets made ready for the notebooks: `splits(settings)` gives train, val and test of a profile."""

import hashlib
import inspect
import json
import warnings
from dataclasses import replace
from functools import partial

from data_prep.readers import ag_news, cifar100, coco, coco_sample, table, tiny_imagenet, vg500, voc
from data_prep.readers.reading import PARTS, check_count, check_parts, held_together, modalities, with_val
from difffeat.base.checked import json_object
from difffeat.base.contents import digests
from difffeat.base.files import ROOT, cache_root, only_writer
from difffeat.base.progress import shown
from difffeat.features.datasets import BrokenSplit, Split
from difffeat.features.prepared import load

READERS = 2  # counts what readers make of the same files: what another version prepared is read anew

# Modules of one layout each: `read(folder, **settings)` gives train, val and test, `sources` with the same
# settings the files that they are read from, `gives` what a page can find in them.
LAYOUTS = {
    "voc": voc,
    "vg500": vg500,
    "cifar100": cifar100,
    "tiny_imagenet": tiny_imagenet,
    "ag_news": ag_news,
    "table": table,
}


def splits(settings) -> dict[str, Split]:
    """Train, val and test of a data set; prepared on the first call, read from the prepared files after that.

    Points of a grid are chosen on val, final numbers are read on test.

    Parameters
    ----------
    settings : mapping, the `data` of a profile. `reader` names what reads the data: "scenes", "coco",
        "coco_sample", or a module of this package ("voc", "vg500", "cifar100", "tiny_imagenet", "ag_news",
        "table"), whose `read` describes the other settings. A relative `folder` starts at the project.
        Those of a page, `profiles.Data`, say what it needs of the data as well.

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    ValueError
        If the reader is unknown, does not take a setting or needs another (the message names those there
        are), parts do not go together (see `held_together`), or the data have not what the page needs; the
        message names the page, the need and the data set.
    """
    read, needs = _reader(settings), getattr(settings, "needs", ())
    _refuse(settings, set(needs) - gives(settings))
    read = held_together(read())
    _refuse(settings, [need for need in needs if not _has(read, need)])
    for part, least in getattr(settings, "sizes", {}).items():
        if len(read[part]) < least:
            raise ValueError(
                f"{settings.page} takes {least} samples of {part}, data set {_named(settings)} has "
                f"{len(read[part])}: set its parameter to fewer, or `samples` to 0, which takes all"
            )
    return read


def gives(settings) -> set[str]:
    """What a page can find in a data set, out of `profiles.NEEDS`, without reading anything.

    Parameters
    ----------
    settings : mapping, as in `splits`

    Raises
    ------
    ValueError
        If the reader is unknown; the message names those there are.
    """
    options = {name: value for name, value in settings.items() if name != "reader"}
    return _known(settings)[1](**options)


def _known(settings):
    """(what reads a data set, what says what it gives) of the reader that these settings name."""
    known = {
        "scenes": (_scenes, _scenes_give),
        "coco": (_coco, modalities),
        "coco_sample": (_coco_sample, modalities),
    }
    known |= {name: (module.read, module.gives) for name, module in LAYOUTS.items()}
    reader = settings.get("reader")
    if reader not in known:
        raise ValueError(f"the data settings have reader {reader!r}; known: {', '.join(known)}")
    return known[reader]


def _scenes_give(**_):
    return {"images", "captions", "scenes"}


def _refuse(settings, lacking):
    """Refuse data that have not what a page needs."""
    if lacking:
        raise ValueError(
            f"{settings.page} needs {' and '.join(sorted(lacking))}, which data set {_named(settings)} does "
            f"not have; this page cannot be run on it"
        )


def _named(settings):
    """A data set as its settings name it."""
    reader = settings.get("reader")
    return f"{settings.get('dataset', reader)} (reader {reader}, folder {settings.get('folder')})"


def _has(read, need):
    """Whether the samples of every part have what a page needs, as far as they show it."""
    if need == "one class":
        return all((split.labels.sum(axis=1) == 1).all() for split in read.values())
    return all(getattr(split, need, True) for split in read.values())


def _reader(settings):
    """What reads train, val and test, once its settings are checked."""
    read, options = _known(settings)[0], dict(settings)
    reader = options.pop("reader")
    takes = inspect.signature(read).parameters
    unknown = sorted(options.keys() - takes.keys())
    if unknown:
        raise ValueError(f"reader {reader!r} does not take {', '.join(unknown)}; it takes {', '.join(takes)}")
    needed = [name for name, taken in takes.items() if taken.default is taken.empty and name not in options]
    if needed:
        raise ValueError(f"reader {reader!r} needs the data settings {', '.join(needed)}")
    return partial(_layout, reader, **options) if reader in LAYOUTS else partial(read, **options)


def _scenes(folder=None, seed=0, counts=None, workers=None, caption=0, unlabelled=True):
    """The generated scenes, drawn on the first call; `counts` gives the images per part."""
    from data_prep.scenes import COUNTS, VERSION, generate

    folder = ROOT / folder if folder else cache_root() / "scenes" / "data"
    instances = [folder / "annotations" / f"instances_{part}.json" for part in PARTS]
    draw = partial(generate, folder, seed=seed, counts=counts, workers=workers, progress=shown())
    _made(instances, folder, draw)
    try:
        prepared = _prepared(
            folder, "scenes", {part: part for part in PARTS}, caption=caption, unlabelled=unlabelled
        )
        info = json_object(folder / "annotations" / "captions_test.json").get("info")
    except (FileNotFoundError, ValueError) as error:
        damage = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise damage(f"{error}; if its files are damaged, delete {folder}: they are drawn again") from error
    info = info if isinstance(info, dict) else {}
    for what, wanted in (("seed", seed), ("version", VERSION)):
        if info.get(what) != wanted:
            raise ValueError(
                f"{folder} holds scenes of {what} {info.get(what)}, {wanted} is asked for: "
                f"delete that folder to have them drawn again, or name another"
            )
    for part, count in (counts or COUNTS).items():
        if len(prepared[part]) != count:
            raise ValueError(
                f"{folder} holds {len(prepared[part])} scenes for {part}, {count} are asked for: "
                f"delete that folder to have them drawn again, or name another"
            )
    return prepared


def _coco(
    folder,
    dataset="coco",
    parts=None,
    validation=5000,
    caption=0,
    unlabelled=True,
    images=True,
    captions=True,
    check_counts=True,
    renumber=False,
):
    """COCO's own layout: `annotations/{instances,captions}_<part>.json`, and the images in `<part>/`.

    `parts` names them, by default train2014 for train and val2014 for test. Where there is no part for val,
    `validation` images of train are held out for it. `images` false reads labels and captions alone,
    `captions` false labels and images.
    `check_counts` holds train2014 and val2014 to the numbers of images that were published. `renumber`
    replaces ids by places, counted through train, val and test, for parts that each start from the same id.
    """
    parts = parts or {"train": "train2014", "test": "val2014"}
    check_parts(parts)
    how = {"caption": caption, "unlabelled": unlabelled, "with_images": images, "with_captions": captions}
    how |= {"validation": validation, "check_counts": check_counts} | ({"renumber": True} if renumber else {})
    return _prepared(ROOT / folder, dataset, parts, **how)


def _coco_sample(folder):
    """Part of COCO's val images, written in COCO's own layout on the first call; see `coco_sample`."""
    sources = _stamps(coco_sample.sources(ROOT / folder))
    written = cache_root() / "coco-sample" / _key(coco_sample.PARTS, sources)
    instances = [written / "annotations" / f"instances_{part}.json" for part in PARTS]
    write = partial(coco_sample.write, ROOT / folder, written)
    _made(instances, written, write)
    read = partial(_coco, written, parts={part: part for part in PARTS})
    return _or_again(read, written, write, (FileNotFoundError, ValueError))


def _layout(reader, folder, **settings):
    """The data set in its own layout."""
    folder, module = ROOT / folder, LAYOUTS[reader]
    sources = module.sources(folder, **settings)
    return _once(folder, [reader, settings], sources, lambda: module.read(folder, **settings))


def _prepared(folder, dataset, parts, **how):
    """The splits of a folder in COCO's format."""
    sources = [path for stem in parts.values() for path in _annotations(folder, stem)]
    if not how.get("with_captions", True):
        sources = sources[::2]
    return _once(folder, [dataset, parts, how], sources, lambda: _read(folder, dataset, parts, **how))


def _once(folder, settings, sources, read):
    """What `read()` makes of these sources with these settings, kept as files: it may take a minute.

    They lie in a folder of the cache, for the folder of the data may be one that must not be written to.
    """
    key = _key(READERS, str(folder.resolve()), *settings, _stamps(sources))
    kept = cache_root() / "prepared" / f"{folder.name}-{key}"

    def save():
        for split in read().values():
            split.save(kept)

    _made([kept / f"{part}.json" for part in PARTS], kept, save)
    return _or_again(lambda: {part: load(kept, part) for part in PARTS}, kept, save, BrokenSplit)


def _or_again(read, folder, make, damages):
    """What `read()` gives; where files that this project made are damaged, once they are made again."""
    try:
        return read()
    except damages as error:
        warnings.warn(f"{error}: made again", stacklevel=2)
    with only_writer(folder):
        make()
    return read()


def _read(
    folder,
    dataset,
    parts,
    caption,
    unlabelled,
    with_images=True,
    with_captions=True,
    validation=None,
    check_counts=False,
    renumber=False,
):
    read, first = {}, 0
    for part, stem in parts.items():
        instances, captions = _annotations(folder, stem)
        images = folder / stem if with_images else None
        how = {"name": part, "dataset": dataset, "caption": caption, "unlabelled": unlabelled}
        read[part] = coco.read(instances, captions if with_captions else None, images, **how)
        if check_counts and unlabelled and stem in coco.COUNTS:
            check_count(instances, len(read[part]), coco.COUNTS[stem], "images")
    for part in PARTS if renumber else ():
        if part in read:
            read[part] = replace(read[part], ids=range(first, first + len(read[part])))
            first += len(read[part])
    return with_val(read, validation)


def _annotations(folder, stem):
    return [folder / "annotations" / f"{kind}_{stem}.json" for kind in ("instances", "captions")]


def _made(wanted, folder, make):
    """Call `make` unless its last files are there; of several processes one makes them, the others wait."""
    if not _there(wanted):
        with only_writer(folder):
            if not _there(wanted):
                make()


def _there(paths):
    return all(path.is_file() for path in paths)


def _stamps(paths):
    """[name, hash of the content] of each file."""
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; check the data settings `folder` and `parts`")
    return list(map(list, zip([path.name for path in paths], digests(paths), strict=True)))


def _key(*content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
