"""The data sets there are: `splits(settings)` gives train, val and test of a profile.

A reader is a module of `data_prep.readers` with three functions that take the same settings: `read` gives
train, val and test, `sources` the files that they are read from, `gives` what a page can find in them. One
that makes pictures itself says by what with `made_by`, one that has a folder of its own where with `home`.
One that gives masks has `maps`, one that gives keypoints `objects`, and `pairs` if it says which of these are
compared; they take a part beside these settings.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from functools import partial

from data_prep import readers
from data_prep.kept import prepared
from data_prep.readers.reading import held_together
from difffeat.base.files import ROOT
from difffeat.features.datasets import Split
from difffeat.features.dense import Annotated, LabelMaps


def splits(settings: Mapping) -> dict[str, Split]:
    """Train, val and test of a data set; prepared on the first call, read from the prepared files after that.

    Points of a grid are chosen on val, final numbers are read on test.

    Parameters
    ----------
    settings : mapping, the `data` of a profile. `reader` names what reads the data: "scenes", "coco",
        "voc", or any other module of `data_prep.readers` that has a `read`, which describes the other
        settings. A relative `folder` starts at the project. Those of a page, `profiles.Data`, say what it
        needs of the data as well.

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


def gives(settings: Mapping) -> set[str]:
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
    return _known(settings).gives(**options)


def maps(settings: Mapping, part: str) -> LabelMaps:
    """What every pixel of a part shows, by sample id; as `splits` for the settings.

    Raises
    ------
    ValueError
        If the data set says nothing of pixels, or a file is not what it should be; the message names it.
    """
    return _said(settings, "masks", "maps", part)


def objects(settings: Mapping, part: str) -> list[Annotated]:
    """The objects of a part with their keypoints; as `splits` for the settings.

    Raises
    ------
    ValueError
        If the data set has no keypoints, or a file is not what it should be; the message names it.
    """
    return _said(settings, "keypoints", "objects", part)


def pairs(settings: Mapping, part: str) -> list[tuple[int, int]] | None:
    """The pairs of a part that a data set compares, places among its `objects`; None where it names none."""
    if not hasattr(_known(settings), "pairs"):
        return None
    return _said(settings, "keypoints", "pairs", part)


def _said(settings, need, function, part):
    """What a reader says of single pixels or points."""
    module, options = _known(settings), dict(settings)
    if need not in gives(settings):
        raise ValueError(f"data set {_named(settings)} has no {need}")
    del options["reader"]
    folder = options.pop("folder", None)
    folder = ROOT / folder if folder is not None else module.home(**options)
    module.sources(folder, **options)  # what is not drawn yet is now
    return getattr(module, function)(folder, part, **options)


def known() -> list[str]:
    """Names of the readers there are."""
    names = [module.name for module in pkgutil.iter_modules(readers.__path__)]
    return [name for name in names if hasattr(_module(name), "sources")]


def _module(name):
    return importlib.import_module(f"{readers.__name__}.{name}")


def _known(settings):
    """The reader that these settings name."""
    reader = settings.get("reader")
    if reader not in known():
        raise ValueError(f"the data settings have reader {reader!r}; known: {', '.join(known())}")
    return _module(reader)


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
    module, options = _known(settings), dict(settings)
    reader = options.pop("reader")
    takes = inspect.signature(module.read).parameters
    unknown = sorted(options.keys() - takes.keys())
    if unknown:
        raise ValueError(f"reader {reader!r} does not take {', '.join(unknown)}; it takes {', '.join(takes)}")
    needed = [name for name, taken in takes.items() if taken.default is taken.empty and name not in options]
    if needed:
        raise ValueError(f"reader {reader!r} needs the data settings {', '.join(needed)}")
    return partial(_read, reader, module, **options)


def _read(reader, module, folder=None, **settings):
    """The splits of a data set, prepared on the first call."""
    folder = ROOT / folder if folder is not None else module.home(**settings)
    made_by = module.made_by() if hasattr(module, "made_by") else None
    damages = (FileNotFoundError,) if made_by else ()  # missing pictures are made again
    read = partial(module.read, folder, **settings)
    sources = module.sources(folder, **settings)
    return prepared(folder, [reader, settings, made_by], sources, read, damages)
