"""Descriptions of regions: many short sentences on each thing and its surroundings, joined to one text.

Visual Genome's captions are joined in this way (Diff-Feat, appendix F). They say much and list nothing: a
thing is named by several words, told of by its colour, by where it is and by what goes with it, and one in
seven is left out.
"""

from data_prep.scenes.language import GROUP_WORDS, PHRASES, PLACE_WORDS, SYNONYMS, pick
from data_prep.scenes.world import HORIZON, SUPERCATEGORY, Scene, rng

WORDS = 150  # at least, of one text: more than 200 tokens of the scenes' vocabulary
TRIES = 6  # to find a sentence that was not said yet
LEFT_OUT = 1 / 7  # of the things
VAGUE = 0.08  # of the sentences name only the group of a thing
SURROUNDINGS = (
    "nothing else is {where}",
    "there is empty space {where}",
    "the background is plain {where}",
    "one colour fills the picture {where}",
)


def regions(scene: Scene) -> str:
    """One text of at least `WORDS` words on a scene."""
    random = rng(scene.seed, scene.index, 3)
    told = [thing for thing in scene.things if random.random() >= LEFT_OUT] or [scene.things[-1]]
    sentences, words = [], 0
    while words < WORDS:
        tried = [_region(random, scene, told) for _ in range(TRIES)]
        sentence = next((one for one in tried if one not in sentences), tried[0])
        sentences.append(sentence)
        words += len(sentence.split())
    return " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)


def _region(random, scene, told):
    of_thing = random.random() < 0.75
    return _of_thing(random, pick(random, told), told) if of_thing else _around(random, scene)


def _of_thing(random, thing, others):
    """What a region with one thing shows."""
    noun = pick(random, SYNONYMS[thing.category])
    if random.random() < VAGUE:
        return f"{GROUP_WORDS[SUPERCATEGORY[thing.category]]} {_where(thing.x, thing.y)}"
    forms = [
        f"the {noun} is {thing.colour}",
        f"{_a(thing.colour)} {noun}",
        f"{_a(noun)} {_where(thing.x, thing.y)}",
        f"{_a(noun)} {pick(random, PHRASES[thing.category])}",
        f"the {noun} is {'large' if thing.size > 0.25 else 'small'}",
        f"the {thing.colour} {noun} {pick(random, PHRASES[thing.category])}",
    ]
    other = pick(random, others)
    if other is not thing:
        side = "left" if thing.x < other.x else "right"
        forms.append(f"the {noun} is to the {side} of the {pick(random, SYNONYMS[other.category])}")
    return pick(random, forms)


def _around(random, scene):
    """What a region without a thing shows."""
    corners = [(x, y) for x in (0.2, 0.8) for y in (0.2, 0.8)]
    empty = [corner for corner in corners if all(_far(thing, corner) for thing in scene.things)]
    if not empty or random.random() < 0.4:
        return f"a scene {pick(random, PLACE_WORDS[scene.place])}"
    return pick(random, SURROUNDINGS).format(where=_where(*pick(random, empty)))


def _far(thing, corner):
    return max(abs(thing.x - corner[0]), abs(thing.y - corner[1])) > thing.size + 0.15


def _where(x, y):
    """A place in the picture in words."""
    height = "at the top" if y < HORIZON - 0.1 else "at the bottom"
    side = "on the left" if x < 0.4 else "on the right" if x > 0.6 else "in the middle"
    return f"{height} {side}"


def _a(noun):
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
