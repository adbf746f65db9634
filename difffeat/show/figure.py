"""What all figures share: paper and palette, an image that says what it shows, and the values beside it."""

import base64
import io
from collections.abc import Sequence
from html import escape
from itertools import product

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike
from PIL import Image

from difffeat.base.format import SCALE, decimals, show, show_interval
from difffeat.show.table import Table

# Okabe and Ito's palette, told apart by readers with any colour vision; the yellow is left out: it fades on
# white.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
GREY, LIGHT, ACCENT = "#5a5a5a", "#d9d9d9", "#D55E00"
HEAT = matplotlib.colormaps["cividis"]
WIDTH = 5.2  # inches; shown 520 pixels wide, so that text has the page's size there and is legible at 360
SHOWN, DPI = 100, 200  # pixels per inch on the page and in the file
LINES = 150_000  # bytes of a drawing as SVG at most: one of a thousand marks stays a picture
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure is the same on every machine
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelcolor": "#222222",
    "axes.edgecolor": "#8a8a8a",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelcolor": "#222222",
    "ytick.labelcolor": "#222222",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.handlelength": 2.2,
    "savefig.facecolor": "white",
    "svg.hashsalt": "difffeat",  # else the same drawing has other names inside each time
    "svg.fonttype": "none",  # text stays text: fewer bytes, and can be edited
}


class Figure:
    """An image with its finding in words and its values in a table.

    Attributes
    ----------
    png : bytes
    alt : str, what the figure shows, from the values
    table : Table of the values
    svg : bytes, the same drawing in lines; none where they would be many more bytes than the picture
    """

    def __init__(self, png: bytes, alt: str, table: Table, svg: bytes = b"") -> None:
        self.png, self.alt, self.table, self.svg = png, alt, table, svg

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self):
        with Image.open(io.BytesIO(self.png)) as image:
            width, height = (round(side * SHOWN / DPI) for side in image.size)
        return (
            '<figure class="difffeat">'
            f'<img src="{source(self.png)}" width="{width}" height="{height}" alt="{escape(self.alt)}" '
            'style="max-width: 100%; height: auto; background: #fff">'
            f"</figure><details><summary>Values</summary>{self.table._repr_html_()}{self._links()}</details>"
        )

    def _links(self):
        """The values as CSV and the drawing as SVG, in links that need no file."""
        rows = self.table.frame.to_csv(index=False, lineterminator="\n").encode()
        kinds = {"csv": ("text/csv", rows), "svg": ("image/svg+xml", self.svg)}
        links = (
            f'<a download="figure.{kind}" href="data:{mime};base64,{base64.b64encode(held).decode()}">'
            f"{kind.upper()}</a>"
            for kind, (mime, held) in kinds.items()
            if held
        )
        return f"<p>To take away: {', '.join(links)}</p>"


styled = matplotlib.rc_context(STYLE)  # decorates what draws: the style is ours whatever the reader has set


def canvas(height: float, mosaic: Sequence | None = None, **layout: object) -> tuple:
    """A white page of the one width, and its axes (a dict of them for a mosaic)."""
    page = Canvas(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(page)
    return page, page.subplot_mosaic(mosaic, **layout) if mosaic else page.subplots()


def finished(page: Canvas, alt: str, frame: pd.DataFrame) -> Figure:
    """The drawn page as a `Figure`; the same drawing gives the same bytes."""
    drawn, lines = io.BytesIO(), io.BytesIO()
    page.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    page.savefig(lines, format="svg", metadata={"Date": None, "Creator": None})
    svg = lines.getvalue() if len(lines.getvalue()) <= LINES else b""
    return Figure(small(Image.open(drawn).convert("RGB")), alt, Table(frame), svg)


def small(image: Image.Image) -> bytes:
    """PNG with a palette of its own 256 colours: a third of the bytes, and no difference to see."""
    packed = io.BytesIO()
    palette = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    palette.save(packed, format="png", optimize=True)
    return packed.getvalue()


def source(png: bytes) -> str:
    """The image as an address that needs no file."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def ink(colour: Sequence[float]) -> str:
    """Black or white, whichever reads better on this colour."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]
    )  # WCAG's relative luminance
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


def value_axis(axis: Axis, unit: str, name: str | None = None) -> None:
    """Ticks written as the values are, and what they are."""
    scale, sign = SCALE.get(unit, 1), "%" if unit == "percent" else ""
    axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * scale:g}{sign}"))
    if name:
        axis.set_label_text(name + (" (points)" if unit == "points" else ""))


def floor_lines(axes: Axes, floors: Sequence, unit: str) -> None:
    """Dashed level lines, each with its name where it hides least."""
    drawn = list(axes.lines)
    for floor in floors:
        axes.axhline(floor.value, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    axes.margins(y=0.07)
    low, high = axes.get_ylim()
    height, letter = 0.055 * (high - low), 0.0175  # a line of text, and a letter as a share of the width
    taken = [point for line in drawn for point in _traced(axes, line)]
    taken += [(place, floor.value) for floor in floors for place in np.linspace(0, 1, 60)]
    for floor in floors:
        name = f"{floor.name} {show(float(floor.value), unit)}"
        width = letter * len(name)
        spots = [(right, floor.value + up * height) for right in (1.0, 0.66, 0.34) for up in (0.15, -1.15)]
        hidden = [
            sum(right - width <= x <= right and y <= other <= y + height for x, other in taken)
            for right, y in spots
        ]
        right, y = spots[int(np.argmin(hidden))]
        text = axes.text(
            right, y, name, transform=axes.get_yaxis_transform(), ha="right", va="bottom", zorder=5
        )
        text.set(fontsize=9, color=GREY, path_effects=[withStroke(linewidth=3, foreground="white")])
        inside = product(np.linspace(right - width, right, 30), y + height * np.array([0.05, 0.5, 0.95]))
        taken += list(inside) * 3  # a name must not hide another


def _traced(axes, line):
    """Points along a drawn line: place as a share of the axes' width, and height as a value."""
    x, y = line.get_data()
    fine = np.linspace(x[0], x[-1], 60)
    low, high = axes.get_xlim()
    return zip((fine - low) / (high - low), np.interp(fine, x, y), strict=True)


def upright_floors(axes: Axes, floors: Sequence, unit: str) -> None:
    """Dashed upright lines, their names one above the other over the axes."""
    for floor in floors:
        axes.axvline(floor.value, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)), zorder=1)
    middle, top = np.mean(axes.get_xlim()), axes.get_xaxis_transform()
    for row, floor in enumerate(sorted(floors, key=lambda floor: floor.value)):
        name = f"{floor.name} {show(float(floor.value), unit)}"
        style = {"xytext": (0, 3 + 12 * row), "textcoords": "offset points", "fontsize": 9, "color": GREY}
        style["ha"] = "left" if floor.value < middle else "right"
        axes.annotate(name, (floor.value, 1), xycoords=top, **style)


def floor_words(floors: Sequence, unit: str) -> str:
    """The floors as a sentence of the alternative text."""
    words = [f"{floor.name} {show(float(floor.value), unit)}" for floor in floors]
    return f" Floors: {', '.join(words)}." if words else ""


def written(value: float, interval: Sequence[float] | None, unit: str) -> list[str]:
    """[value, interval] as cells of a table."""
    digits = decimals(unit, interval)
    return [show(value, unit, digits), show_interval(interval, unit, digits)]


def course(points: Sequence, values: ArrayLike, name: str, unit: str) -> str:
    """How values run along an axis, in words: "rises from 12% at t = 0 to 44% at t = 50, then falls ..." """
    measured = np.isfinite(values)
    points, values = np.asarray(points)[measured], np.asarray(values, dtype=float)[measured]
    peak = int(values.argmax())

    def at(place):
        return f"{show(float(values[place]), unit)} at {name} {points[place]}"

    steps = np.diff(values)
    steadily = (steps[:peak] >= 0).all() and (steps[peak:] <= 0).all()
    how = "" if steadily else ", with smaller turns in between"
    if len(values) == 1:
        return f"is {at(0)}"
    if peak == 0:
        return f"falls from {at(0)} to {at(-1)}{how}"
    if peak == len(values) - 1:
        return f"rises from {at(0)} to {at(-1)}{how}"
    return f"rises from {at(0)} to {at(peak)}, then falls to {at(-1)}{how}"
