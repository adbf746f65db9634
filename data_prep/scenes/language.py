"""Captions of scenes: like COCO's, they mention some of the objects, in words of their own.

Five captions a scene. A caption names a thing by a synonym or only by its group ("an animal"), counts,
colours, adds a phrase that goes with the category ("with a red roof" is how a house is told), and now and
then says what is *not* there. So finding the labels takes more than looking for their names, and most
captions leave some out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from data_prep.scenes.world import CATEGORIES, SUPERCATEGORY, Scene, layout, rng

CAPTIONS_PER_IMAGE = 5
SYNONYMS = {
    "sun": ("sun",),
    "moon": ("moon", "crescent"),
    "cloud": ("cloud",),
    "tree": ("tree", "oak"),
    "flower": ("flower", "blossom"),
    "fish": ("fish", "trout"),
    "bird": ("bird", "sparrow"),
    "cat": ("cat", "kitten"),
    "snail": ("snail",),
    "house": ("house", "cottage"),
    "castle": ("castle", "fortress"),
    "flag": ("flag", "banner"),
    "car": ("car", "taxi"),
    "boat": ("boat", "sailboat"),
    "balloon": ("balloon", "hot air balloon"),
    "rocket": ("rocket",),
    "cup": ("cup", "mug"),
    "bottle": ("bottle", "flask"),
    "apple": ("apple",),
    "cake": ("cake",),
}
GROUP_WORDS = {
    "nature": "something from nature",
    "animal": "an animal",
    "building": "a landmark",
    "vehicle": "a vehicle",
    "kitchen": "something from the kitchen",
}
PHRASES = {
    "sun": ("shining brightly", "warming the air"),
    "moon": ("glowing softly", "over the roofs"),
    "cloud": ("drifting by", "full of rain"),
    "tree": ("with green leaves", "with deep roots"),
    "flower": ("with soft petals", "in full bloom"),
    "fish": ("swimming along", "with shiny scales"),
    "bird": ("spreading its wings", "singing a song"),
    "cat": ("with pointed ears", "licking its fur"),
    "snail": ("with a spiral shell", "crawling slowly"),
    "house": ("with a front door", "with a warm roof"),
    "castle": ("with thick walls", "guarded by knights"),
    "flag": ("waving in the wind", "on a pole"),
    "car": ("with four wheels", "waiting for its driver"),
    "boat": ("under sail", "crossing the water"),
    "balloon": ("carrying a basket", "filled with hot air"),
    "rocket": ("leaving for space", "trailing fire"),
    "cup": ("full of coffee", "with a handle"),
    "bottle": ("full of juice", "with a cork"),
    "apple": ("with a stalk", "ready to eat"),
    "cake": ("with a candle", "for a birthday"),
}
PLACE_WORDS = {
    "meadow": ("in a meadow", "on the grass"),
    "town": ("in the street", "in town"),
    "sea": ("on the beach", "by the shore"),
    "hills": ("in the hills", "on a hill"),
    "kitchen": ("at home", "for breakfast"),
    "fair": ("at a fair", "at a party"),
}
MISLEADING_COLOUR = {
    "white": "cloud white",
    "green": "bottle green",
    "red": "apple red",
    "orange": "fish orange",
}
COUNTS = {
    2: ("two", "a pair of"),
    3: ("three", "several"),
    4: ("four", "several"),
    5: ("five", "many"),
    6: ("six", "many"),
}
PLURAL_COUNTS = {word for words in COUNTS.values() for word in words if word != "a pair of"}
UNCHANGED_PLURALS = ("fish", "trout")
OPENINGS = ("", "", "a photo of ", "a picture of ", "there is ", "we can see ", "an image of ")


def captions(seed: int, lo: int, hi: int) -> list[tuple[tuple[str, ...], list[int]]]:
    """Captions and labels of the scenes [lo, hi), without drawing them.

    Returns
    -------
    list of (the scene's five captions, label indices into `CATEGORIES`)
    """
    scenes = (layout(seed, index) for index in range(lo, hi))
    return [(describe(scene), [CATEGORIES.index(name) for name in scene.categories]) for scene in scenes]


def describe(scene: Scene) -> tuple[str, ...]:
    """The scene's five captions, a tuple of sentences."""
    random = rng(scene.seed, scene.index, 2)
    return tuple(_sentence(random, scene) for _ in range(CAPTIONS_PER_IMAGE))


def _sentence(random, scene):
    largest = max(scene.things, key=lambda thing: thing.size)
    mentioned = [name for name in scene.categories if random.random() < 0.58] or [largest.category]
    mentioned = [mentioned[i] for i in random.permutation(len(mentioned))]
    nouns = [_noun_phrase(random, scene, name) for name in mentioned]
    body = nouns[0]
    if len(nouns) > 1:
        body += " " + _relation(random, scene, mentioned[0], mentioned[1]) + " " + nouns[1]
    if len(nouns) > 2:
        body += pick(random, (", and ", ", together with ", " plus ")) + " and ".join(nouns[2:])
    if random.random() < 0.07:
        body += " but no " + pick(
            random, SYNONYMS[pick(random, [c for c in CATEGORIES if c not in scene.categories])]
        )
    place = pick(random, PLACE_WORDS[scene.place]) if random.random() < 0.4 else ""
    opening = pick(random, OPENINGS)
    if opening == "there is " and body.split()[0] in PLURAL_COUNTS:
        opening = "there are "
    sentence = opening + body + (" " + place if place else "") + "."
    return sentence[0].upper() + sentence[1:]


def _noun_phrase(random, scene, category):
    """ "two red cars", "a cottage with a front door" or, now and then, only "an animal"."""
    things = [thing for thing in scene.things if thing.category == category]
    if random.random() < 0.07:
        return GROUP_WORDS[SUPERCATEGORY[category]]
    words = SYNONYMS[category]
    noun = words[0] if random.random() < 0.65 else pick(random, words)
    colour = ""
    if random.random() < 0.4 and len({thing.colour for thing in things}) == 1:
        name = things[0].colour
        colour = (
            MISLEADING_COLOUR[name] if name in MISLEADING_COLOUR and random.random() < 0.25 else name
        ) + " "
    phrase = " " + pick(random, PHRASES[category]) if random.random() < 0.4 and len(things) == 1 else ""
    if len(things) > 1:
        return pick(random, COUNTS[len(things)]) + " " + colour + _plural(noun)
    words = colour + noun
    return ("an " if words[0] in "aeiou" else "a ") + words + phrase


def _relation(random, scene, first, second):
    """How the first thing stands to the second: by position half of the time."""
    if random.random() < 0.5:
        return pick(random, ("next to", "beside", "near", "with", "and"))
    a, b = (next(thing for thing in scene.things if thing.category == name) for name in (first, second))
    if abs(a.y - b.y) > abs(a.x - b.x):
        return "above" if a.y < b.y else "below"
    return "to the left of" if a.x < b.x else "to the right of"


def _plural(noun):
    if noun in UNCHANGED_PLURALS:
        return noun
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def pick(random: np.random.Generator, options: Sequence) -> Any:
    """One of them, each as likely."""
    return options[int(random.integers(len(options)))]
