"""What a page extracts, as its metadata declares it: what a plan counts before anything runs.

A notebook that extracts features which no page before it leaves lists them in its metadata, under `difffeat`,
as `extracts`: one mapping for each, of these keys, all but the first optional:

- `of`: "image" or "text",
- `blocks`, `timesteps`: by default the page's parameters `<of>_blocks` and `<of>_timesteps`,
- `samples`: a parameter that takes fewer than the page does: two numbers, of train and test, or one, of test,
- `noising`: one or several kinds, by default random for images and the parameter `deterministic` for text,
- `places`: where in blocks, by default their outputs alone,
- `times`: how many sets there are: the product of the lengths of these; a list in it adds up,
- `if`: a parameter; where it is false nothing is extracted,
- `in_memory`: true of tokens that are read and never written to a disk.

A value that names a parameter of the page stands for that parameter's, `name[:1]` and `name[-1:]` for a part
of it; numbers and other text stand for themselves.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from difffeat.features import schedule
from difffeat.features.points import OUT
from difffeat.profiles import declared

KEYS = ("of", "blocks", "timesteps", "places", "samples", "noising", "times", "if", "in_memory")
NOISINGS = {"image": "random", "text": "deterministic"}


@dataclass(frozen=True)
class Extraction:
    """Sets of features that a page extracts in one way.

    Attributes
    ----------
    modality, backbone : str
    samples : int, of all parts that one set takes
    blocks, timesteps : tuples of int
    noising : str
    sets : int, of features, each with passes of its own
    places : tuple of str
    kept : bool, whether features are written to a disk
    """

    modality: str
    backbone: str
    samples: int
    blocks: tuple
    timesteps: tuple
    noising: str
    sets: int
    places: tuple = (OUT,)
    kept: bool = True


def of_page(notebook: str, taken: Mapping, parts: Sequence[int]) -> list[Extraction]:
    """What a notebook extracts with these parameters.

    Parameters
    ----------
    notebook : str
    taken : dict, its parameters, as `profiles.planned` gives them
    parts : samples of train, val and test that the page takes

    Raises
    ------
    ValueError
        If its metadata has a key that means nothing, or says what is no list of numbers or no noising.
    """
    found = []
    for said in declared(notebook).get("extracts", []):
        if strange := sorted(said.keys() - set(KEYS)):
            raise ValueError(f"{notebook} declares {strange} of an extraction; there are {', '.join(KEYS)}")
        if "if" not in said or taken.get(said["if"]):
            found += _ways(notebook, said, taken, parts)
    return found


def _ways(notebook, said, taken, parts):
    """One declared extraction as one for each of its noisings."""
    modality = said["of"]
    points = [
        _numbers(notebook, said.get(key, f"{modality}_{key}"), taken) for key in ("blocks", "timesteps")
    ]
    sets = math.prod(_length(each, taken) for each in said.get("times", ()))
    samples = _samples(said.get("samples"), taken, parts)
    kinds = dict.fromkeys(map(schedule.named, _texts(said.get("noising", NOISINGS[modality]), taken)))
    backbone = taken[f"{modality}_backbone"]
    inside = tuple(_texts(said.get("places", OUT), taken)), not said.get("in_memory", False)
    return [Extraction(modality, backbone, samples, *points, noising, sets, *inside) for noising in kinds]


def _value(said, taken):
    """What a parameter holds, or the first or last of it; anything else as it is."""
    name, _, cut = str(said).partition("[")
    if name not in taken:
        return said
    held = taken[name]
    return {"": held, ":1]": held[:1], "-1:]": held[-1:]}[cut] if isinstance(held, list) else held


def _numbers(notebook, said, taken):
    numbers = _value(said, taken)
    if not isinstance(numbers, list) or not numbers or not all(isinstance(one, int) for one in numbers):
        raise ValueError(
            f"{notebook} declares {said!r} for blocks or timesteps of an extraction: {numbers!r}"
        )
    return tuple(sorted(set(numbers)))


def _texts(said, taken):
    """One text or several, each a parameter's or itself."""
    if isinstance(said, str):
        held = _value(said, taken)
        return list(held) if isinstance(held, list) else [held]
    return [one for each in said for one in _texts(each, taken)]


def _length(each, taken):
    """How many a parameter lists; of a list of such the sum; a number is itself."""
    if isinstance(each, list):
        return sum(_length(one, taken) for one in each)
    return each if isinstance(each, int) else len(_value(each, taken))


def _samples(name, taken, parts):
    """Samples of all parts that one set takes."""
    if name is None:
        return sum(parts)
    train, _, test = parts
    fewer = taken[name]
    held, wanted = ([train, test], fewer) if isinstance(fewer, list) else ([test], [fewer])
    return sum(min(count or there, there) for count, there in zip(wanted, held, strict=True))
