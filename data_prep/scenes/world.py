"""The world of `scenes`: categories, places, colours, and how one scene is laid out.

A scene is drawn from a place (meadow, town, sea, hills, kitchen, fair). The place decides which categories
are likely, so that labels co-occur as they do in photographs, and four categories stay under one per cent of
the images. Sky and ground are drawn apart from it: a backdrop tells nothing about what stands before it, so
that labels cannot be read off a picture's mean colours. Everything here is a pure function of `(seed,
index)`: the same image comes out in any process, in any order.
"""

from dataclasses import dataclass

import numpy as np

SUPERCATEGORIES = {
    "nature": ("sun", "moon", "cloud", "tree", "flower"),
    "animal": ("fish", "bird", "cat", "snail"),
    "building": ("house", "castle", "flag"),
    "vehicle": ("car", "boat", "balloon", "rocket"),
    "kitchen": ("cup", "bottle", "apple", "cake"),
}
CATEGORIES = tuple(name for members in SUPERCATEGORIES.values() for name in members)
SUPERCATEGORY = {name: group for group, members in SUPERCATEGORIES.items() for name in members}

COLOURS = {
    "red": (208, 52, 44),
    "orange": (240, 142, 44),
    "yellow": (244, 208, 63),
    "green": (66, 148, 70),
    "blue": (52, 98, 204),
    "purple": (128, 66, 170),
    "pink": (240, 146, 182),
    "brown": (128, 84, 50),
    "grey": (134, 138, 146),
    "white": (246, 244, 238),
    "black": (38, 38, 44),
}
TYPICAL_COLOUR = {
    "sun": "yellow",
    "moon": "white",
    "cloud": "white",
    "tree": "green",
    "flower": "pink",
    "fish": "orange",
    "bird": "blue",
    "cat": "grey",
    "snail": "brown",
    "house": "white",
    "castle": "grey",
    "flag": "blue",
    "car": "red",
    "boat": "brown",
    "balloon": "purple",
    "rocket": "white",
    "cup": "blue",
    "bottle": "green",
    "apple": "red",
    "cake": "pink",
}
TYPICAL_SHARE = 0.6  # of objects have their category's typical colour, the others any colour

# Height of an object's centre as a share of the image: up in the air, or standing on the ground.
AIRBORNE = {"sun", "moon", "cloud", "bird", "balloon", "rocket"}


@dataclass(frozen=True)
class Place:
    """Where a scene is set: its share of images, and the weights of the categories there."""

    share: float
    weights: dict


PLACES = {
    "meadow": Place(
        0.28,
        dict(
            tree=5, flower=4, sun=3, cloud=3, bird=2, cat=1.2, house=0.8, snail=0.09, balloon=0.3, apple=0.4
        ),
    ),
    "town": Place(0.24, dict(house=5, car=4, tree=2, cloud=1.6, cat=1, flag=0.9, bird=0.8, castle=0.07)),
    "sea": Place(0.16, dict(boat=4, fish=4, sun=1.6, cloud=1.6, bird=1.4, flag=0.3)),
    "hills": Place(0.10, dict(moon=5, house=2, tree=1.5, cloud=1, cat=1, castle=0.12, rocket=0.16)),
    "kitchen": Place(0.17, dict(cup=5, bottle=3.5, apple=3, flower=1, cat=0.5, fish=0.5, cake=0.12)),
    "fair": Place(0.05, dict(balloon=4, flag=3, cloud=1, tree=1, car=0.6, cake=0.12, rocket=0.08)),
}

SKIES = {
    "day": (172, 210, 236),
    "overcast": (196, 202, 208),
    "dusk": (238, 186, 150),
    "dawn": (226, 204, 230),
    "night": (58, 62, 108),
    "haze": (236, 222, 194),
}
GROUNDS = {
    "grass": (134, 184, 104),
    "stone": (166, 162, 160),
    "sand": (222, 202, 150),
    "water": (92, 150, 192),
    "earth": (172, 128, 94),
    "snow": (230, 234, 240),
}
HORIZON = 0.6  # from the top, as a share of the image's height

COUNT_SHARE = (0.24, 0.33, 0.23, 0.12, 0.05, 0.03)  # share of scenes with 1, 2, ... 6 objects
SIZE = (
    0.31,
    0.27,
    0.23,
    0.205,
    0.185,
    0.17,
)  # half an object's height, as a share of the image, by the number of objects
MAX_OVERLAP = 0.45  # of the smaller of two objects' discs; every labelled object stays mostly visible


@dataclass(frozen=True)
class Thing:
    """One object: position and size as shares of the image side, rotation in radians."""

    category: str
    colour: str
    rgb: tuple
    x: float
    y: float
    size: float
    stretch: float
    turn: float
    flip: int


@dataclass(frozen=True)
class Scene:
    """A laid-out scene; `things` are in drawing order, back to front."""

    seed: int
    index: int
    place: str
    things: tuple

    @property
    def categories(self) -> tuple[str, ...]:
        """Distinct category names, in the order of `CATEGORIES`."""
        present = {thing.category for thing in self.things}
        return tuple(name for name in CATEGORIES if name in present)


def rng(seed: int, index: int, stream: int) -> np.random.Generator:
    """An independent generator for one purpose of one image; streams: 0 layout, 1 pixels, 2 captions."""
    return np.random.default_rng([seed, index, stream])


def layout(seed: int, index: int, most: int = len(COUNT_SHARE)) -> Scene:
    """Lay out scene `index` of data seed `seed`.

    Parameters
    ----------
    seed, index : int
    most : int, things at most

    Returns
    -------
    Scene with one to six things, of which no pair overlaps by more than `MAX_OVERLAP`
    """
    random = rng(seed, index, 0)
    place = _choice(random, list(PLACES), [place.share for place in PLACES.values()])
    count = min(1 + _choice(random, range(len(COUNT_SHARE)), COUNT_SHARE), most)
    weights = PLACES[place].weights
    things = []
    for number in range(count):
        repeat = number > 0 and random.random() < 0.15  # so that captions can count: "two trees"
        category = things[-1].category if repeat else _choice(random, list(weights), list(weights.values()))
        if thing := _place_thing(random, category, SIZE[count - 1], things):
            things.append(thing)
    return Scene(seed, index, place, tuple(sorted(things, key=lambda thing: thing.y + thing.size)))


def _place_thing(random, category, size, others):
    """A thing at a free spot, or None when twelve tries found none (the first thing always fits)."""
    colour = TYPICAL_COLOUR[category] if random.random() < TYPICAL_SHARE else _choice(random, list(COLOURS))
    rgb = tuple(np.clip(np.array(COLOURS[colour]) + random.normal(0, 9, 3), 0, 255).tolist())
    size = size * random.uniform(0.85, 1.15)
    shape = dict(
        stretch=random.uniform(0.9, 1.12), turn=random.normal(0, 0.07), flip=int(random.choice((-1, 1)))
    )
    for _ in range(12):
        x = random.uniform(size * 0.8, 1 - size * 0.8)
        if category in AIRBORNE:
            y = random.uniform(size * 0.9, max(size, HORIZON - 0.35 * size))
        else:
            y = random.uniform(HORIZON - 0.2 * size, max(HORIZON, 1 - 0.9 * size))
        thing = Thing(category, colour, rgb, x, y, size, **shape)
        if all(_overlap(thing, other) <= MAX_OVERLAP for other in others):
            return thing
    return None


def _overlap(a, b):
    """Overlap of two discs as a share of the smaller (0 apart, 1 inside), linear in the distance."""
    distance = np.hypot(a.x - b.x, a.y - b.y)
    reach = 0.9 * (a.size + b.size)
    return float(np.clip((reach - distance) / (2 * 0.9 * min(a.size, b.size)), 0, 1))


def _choice(random, options, weights=None):
    """One of `options`, by weight; a plain Python object, unlike numpy's choice."""
    options = list(options)
    shares = None if weights is None else np.array(weights) / np.sum(weights)
    return options[int(random.choice(len(options), p=shares))]
