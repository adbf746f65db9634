"""Pictures of scenes: each category is a few polygons in a box of side 2, drawn supersampled and reduced.

The parts of a thing share one main colour; fixed details (a trunk, a wheel, a window) help the eye, and a
model, to tell things apart.
"""

import numpy as np
from PIL import Image, ImageDraw

from data_prep.scenes.world import GROUNDS, HORIZON, SKIES, Scene, Thing, rng

SUPERSAMPLE = 3
TRUNK, LEAF, GLASS, TYRE, FLAME, SKIN = (
    (112, 74, 44),
    (74, 140, 66),
    (176, 214, 236),
    (44, 44, 50),
    (250, 170, 50),
    (226, 198, 156),
)
BEAK, ROOF, DOOR, INK, CREAM = (244, 170, 40), (160, 66, 50), (110, 66, 44), (30, 30, 34), (252, 246, 226)


def ellipse(
    x: float,
    y: float,
    rx: float,
    ry: float | None = None,
    start: float = 0.0,
    stop: float = 2 * np.pi,
    points: int = 28,
) -> np.ndarray:
    """Points on an arc of an ellipse, (points, 2); y grows downwards."""
    angle = np.linspace(start, stop, points)
    return np.stack([x + rx * np.cos(angle), y + (ry or rx) * np.sin(angle)], axis=1)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """A rectangle, (4, 2)."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def polygon(*points: tuple[float, float]) -> np.ndarray:
    """Corner points, (n, 2)."""
    return np.array(points, float)


def _sun():
    angle = np.arange(24) * np.pi / 12
    radius = np.where(np.arange(24) % 2 == 0, 1.0, 0.7)
    rays = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return [("main", rays), ("light", ellipse(0, 0, 0.56))]


def _moon():
    outer = ellipse(0, 0, 0.95, start=0.28 * np.pi, stop=1.72 * np.pi)
    inner = ellipse(0.42, 0, 0.72, start=1.64 * np.pi, stop=0.36 * np.pi)
    return [("main", np.concatenate([outer, inner]))]


def _flower():
    petals = [
        ("main", ellipse(0.42 * np.cos(a), 0.42 * np.sin(a) - 0.4, 0.32)) for a in np.arange(6) * np.pi / 3
    ]
    stem = [(LEAF, box(-0.07, 0, 0.07, 1)), (LEAF, polygon((0, 0.75), (0.5, 0.4), (0.4, 0.75)))]
    return stem + petals + [(BEAK, ellipse(0, -0.4, 0.24))]


def _crenels(left, right, top, depth, teeth):
    """The battlement of a tower: `teeth` boxes standing on the line `top`."""
    step = (right - left) / (2 * teeth - 1)
    return [
        ("main", box(left + 2 * i * step, top - depth, left + (2 * i + 1) * step, top)) for i in range(teeth)
    ]


# Every part is (colour, points): "main", "light" and "dark" follow the thing's own colour, tuples are fixed
# RGB details.
SHAPES = {
    "sun": _sun(),
    "moon": _moon(),
    "cloud": [
        ("main", ellipse(-0.5, 0.14, 0.46, 0.38)),
        ("main", ellipse(0.5, 0.14, 0.48, 0.36)),
        ("main", ellipse(0.02, -0.14, 0.56, 0.46)),
        ("main", box(-0.5, 0.1, 0.5, 0.51)),
    ],
    "tree": [
        (TRUNK, box(-0.15, 0.2, 0.15, 1)),
        ("dark", ellipse(-0.36, 0.0, 0.44)),
        ("dark", ellipse(0.36, 0.0, 0.44)),
        ("main", ellipse(0, -0.42, 0.56)),
    ],
    "flower": _flower(),
    "fish": [
        ("dark", polygon((0.45, 0), (1, -0.5), (0.9, 0), (1, 0.5))),
        ("dark", polygon((-0.2, -0.35), (0.3, -0.7), (0.3, -0.2))),
        ("main", ellipse(-0.18, 0, 0.8, 0.46)),
        (CREAM, ellipse(-0.6, -0.1, 0.14)),
        (INK, ellipse(-0.62, -0.1, 0.07)),
    ],
    "bird": [
        ("dark", polygon((0.4, 0.1), (1, -0.1), (0.9, 0.3))),
        ("main", ellipse(0.05, 0.15, 0.6, 0.42)),
        ("main", ellipse(-0.48, -0.28, 0.32)),
        (BEAK, polygon((-0.72, -0.4), (-1.05, -0.22), (-0.72, -0.14))),
        ("dark", polygon((-0.25, 0.1), (0.5, -0.75), (0.5, 0.2))),
        (INK, ellipse(-0.55, -0.34, 0.07)),
    ],
    "cat": [
        ("dark", polygon((0.45, 0.75), (0.95, 0.5), (0.8, -0.15), (1.0, -0.15), (1.1, 0.6), (0.55, 1))),
        ("main", ellipse(0.08, 0.48, 0.56, 0.52)),
        ("main", polygon((-0.62, -0.35), (-0.58, -1), (-0.18, -0.65))),
        ("main", polygon((0.32, -0.35), (0.28, -1), (-0.12, -0.65))),
        ("main", ellipse(-0.15, -0.3, 0.5, 0.42)),
        (CREAM, ellipse(-0.33, -0.36, 0.1)),
        (CREAM, ellipse(0.05, -0.36, 0.1)),
        (INK, ellipse(-0.33, -0.36, 0.05)),
        (INK, ellipse(0.05, -0.36, 0.05)),
    ],
    "snail": [
        (SKIN, polygon((-1, -0.1), (-0.75, -0.1), (-0.6, 0.45), (0.9, 0.45), (1.05, 0.75), (-0.95, 0.75))),
        (SKIN, ellipse(-0.88, -0.12, 0.17)),
        ("main", ellipse(0.16, -0.02, 0.66)),
        ("light", ellipse(0.16, -0.02, 0.42)),
        ("dark", ellipse(0.16, -0.02, 0.2)),
    ],
    "house": [
        ("main", box(-0.72, -0.15, 0.72, 0.95)),
        (ROOF, polygon((0, -0.98), (0.98, -0.1), (-0.98, -0.1))),
        (DOOR, box(-0.48, 0.3, -0.1, 0.95)),
        (GLASS, box(0.16, 0.2, 0.52, 0.56)),
    ],
    "castle": [
        ("main", box(-0.6, -0.1, 0.6, 1)),
        ("main", box(-0.95, -0.55, -0.42, 1)),
        ("main", box(0.42, -0.55, 0.95, 1)),
        *_crenels(-0.95, -0.42, -0.55, 0.22, 3),
        *_crenels(0.42, 0.95, -0.55, 0.22, 3),
        *_crenels(-0.36, 0.36, -0.1, 0.2, 3),
        (DOOR, ellipse(0, 0.7, 0.24, 0.34)),
        (DOOR, box(-0.24, 0.7, 0.24, 1)),
        (INK, box(-0.76, -0.25, -0.6, 0.05)),
        (INK, box(0.6, -0.25, 0.76, 0.05)),
    ],
    "flag": [
        (TRUNK, box(-0.72, -1, -0.56, 1)),
        ("main", polygon((-0.56, -0.95), (0.9, -0.82), (0.78, -0.45), (0.9, 0.02), (-0.56, 0.1))),
        ("light", polygon((-0.56, -0.6), (0.83, -0.6), (0.8, -0.28), (-0.56, -0.22))),
    ],
    "car": [
        ("main", polygon((-0.6, -0.05), (-0.4, -0.52), (0.35, -0.52), (0.62, -0.05))),
        ("main", box(-1, -0.08, 1, 0.36)),
        (GLASS, polygon((-0.46, -0.08), (-0.32, -0.42), (-0.05, -0.42), (-0.05, -0.08))),
        (GLASS, polygon((0.05, -0.08), (0.05, -0.42), (0.3, -0.42), (0.48, -0.08))),
        (TYRE, ellipse(-0.56, 0.4, 0.26)),
        (TYRE, ellipse(0.56, 0.4, 0.26)),
        (GLASS, ellipse(-0.56, 0.4, 0.1)),
        (GLASS, ellipse(0.56, 0.4, 0.1)),
    ],
    "boat": [
        (TRUNK, box(-0.05, -1, 0.06, 0.4)),
        (CREAM, polygon((0.1, -0.95), (0.85, 0.25), (0.1, 0.25))),
        (CREAM, polygon((-0.1, -0.7), (-0.7, 0.25), (-0.1, 0.25))),
        ("main", polygon((-1, 0.36), (1, 0.36), (0.65, 0.9), (-0.65, 0.9))),
    ],
    "balloon": [
        ("main", ellipse(0, -0.3, 0.72, 0.7)),
        ("light", ellipse(0, -0.3, 0.34, 0.7)),
        ("main", polygon((-0.55, 0.1), (0.55, 0.1), (0.2, 0.6), (-0.2, 0.6))),
        (TRUNK, box(-0.2, 0.66, 0.2, 1)),
    ],
    "rocket": [
        (FLAME, polygon((-0.22, 0.6), (0.22, 0.6), (0, 1.05))),
        (ROOF, polygon((-0.3, 0.1), (-0.68, 0.72), (-0.28, 0.62))),
        (ROOF, polygon((0.3, 0.1), (0.68, 0.72), (0.28, 0.62))),
        ("main", polygon((-0.32, -0.4), (0.32, -0.4), (0.32, 0.62), (-0.32, 0.62))),
        (ROOF, polygon((-0.32, -0.4), (0, -1), (0.32, -0.4))),
        (GLASS, ellipse(0, -0.1, 0.17)),
    ],
    "cup": [
        ("dark", ellipse(0.56, -0.02, 0.42)),
        ("hole", ellipse(0.56, -0.02, 0.22)),
        ("main", polygon((-0.8, -0.7), (0.5, -0.7), (0.36, 0.85), (-0.66, 0.85))),
        ("light", ellipse(-0.15, -0.68, 0.65, 0.16)),
    ],
    "bottle": [
        ("main", box(-0.15, -0.85, 0.15, -0.2)),
        ("main", polygon((-0.15, -0.4), (0.15, -0.4), (0.44, 0.05), (-0.44, 0.05))),
        ("main", box(-0.44, 0.02, 0.44, 1)),
        (CREAM, box(-0.44, 0.28, 0.44, 0.7)),
        (DOOR, box(-0.17, -1, 0.17, -0.8)),
    ],
    "apple": [
        ("main", ellipse(-0.28, 0.15, 0.56, 0.7)),
        ("main", ellipse(0.28, 0.15, 0.56, 0.7)),
        (TRUNK, polygon((-0.05, -0.45), (0.05, -0.45), (0.16, -0.95), (0.04, -0.95))),
        (LEAF, polygon((0.1, -0.65), (0.4, -1.0), (0.72, -0.8), (0.4, -0.6))),
        ("light", ellipse(-0.42, -0.08, 0.14, 0.2)),
    ],
    "cake": [
        ("main", box(-0.9, 0.1, 0.9, 0.9)),
        (CREAM, box(-0.9, 0.1, 0.9, 0.34)),
        ("main", box(-0.55, -0.4, 0.55, 0.1)),
        (CREAM, box(-0.55, -0.4, 0.55, -0.2)),
        (GLASS, box(-0.07, -0.8, 0.07, -0.4)),
        (FLAME, ellipse(0, -0.88, 0.12, 0.16)),
    ],
}


def render(scene: Scene, side: int = 64) -> tuple[Image.Image, np.ndarray]:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene
    side : int, pixels

    Returns
    -------
    image : PIL.Image of `side` x `side` RGB pixels
    masks : bool array of shape (things, side, side), the visible pixels of each thing
    """
    random = rng(scene.seed, scene.index, 1)
    fine = side * SUPERSAMPLE
    picture = _backdrop(random, fine)
    coverage = np.zeros((len(scene.things), side, side), np.float32)
    for number, thing in enumerate(scene.things):
        silhouette = _draw(picture, thing, fine)
        share = np.asarray(silhouette.reduce(SUPERSAMPLE), np.float32) / 255
        coverage[:number] *= 1 - share  # what stands in front hides what is behind
        coverage[number] = share
    pixels = np.asarray(picture.reduce(SUPERSAMPLE), np.float32)
    pixels = pixels * random.uniform(0.86, 1.08) + random.normal(0, 2.5, 3)  # light and white balance
    pixels = np.clip(pixels + random.normal(0, 1.5, pixels.shape), 0, 255)  # the sensor
    return Image.fromarray(pixels.astype(np.uint8)), coverage > 0.5


def _backdrop(random, fine):
    """Any sky over any ground, smooth zones of low-contrast texture that meet at the horizon."""
    sky, ground = (
        colours[random.integers(len(colours))] for colours in (list(SKIES.values()), list(GROUNDS.values()))
    )
    horizon = int(fine * np.clip(HORIZON + random.normal(0, 0.04), 0.2, 0.9))
    texture = Image.fromarray(random.normal(0, 7, (6, 6)).astype(np.float32)).resize(
        (fine, fine), Image.BICUBIC
    )
    zones = np.zeros((fine, fine, 3), np.float32)
    zones[:horizon] = np.array(sky) + random.normal(0, 8, 3)
    zones[:horizon] += np.linspace(-14, 12, horizon)[:, None, None]  # lighter towards the horizon
    zones[horizon:] = np.array(ground) + random.normal(0, 8, 3)
    zones += np.asarray(texture)[..., None]
    return Image.fromarray(np.clip(zones, 0, 255).astype(np.uint8))


def _draw(picture, thing, fine):
    """Draw one thing onto the picture and return its silhouette (L, 0 or 255)."""
    silhouette = Image.new("L", picture.size)
    brush, stencil = ImageDraw.Draw(picture), ImageDraw.Draw(silhouette)
    before = picture.copy() if any(colour == "hole" for colour, _ in SHAPES[thing.category]) else None
    for colour, points in SHAPES[thing.category]:
        corners = [tuple(corner) for corner in to_pixels(points, thing, fine)]
        if colour == "hole":  # the background shows through, as in a cup's handle
            window = Image.new("L", picture.size)
            ImageDraw.Draw(window).polygon(corners, fill=255)
            picture.paste(before, mask=window)
            stencil.polygon(corners, fill=0)
        else:
            brush.polygon(corners, fill=_paint(colour, thing.rgb))
            stencil.polygon(corners, fill=255)
    return silhouette


def to_pixels(points: np.ndarray, thing: Thing, side: float) -> np.ndarray:
    """Points (n, 2) of a thing's box of side 2 to pixels of a picture: flip, stretch, turn, scale, move."""
    cos, sin = np.cos(thing.turn), np.sin(thing.turn)
    shaped = points * [thing.flip * thing.stretch, 1 / thing.stretch]
    turned = shaped @ np.array([[cos, sin], [-sin, cos]])
    return (turned * thing.size + [thing.x, thing.y]) * side


def _paint(colour, main):
    """RGB of a part: shades of the thing's own colour, or the fixed detail."""
    if not isinstance(colour, str):
        return colour
    main = np.array(main)
    shade = {"main": main, "light": main + 0.45 * (255 - main), "dark": 0.72 * main}[colour]
    return tuple(int(value) for value in shade)
