"""What pages say in one line: a point and its floors as results, a mapping or a search as a table."""

import json
import re

import numpy as np
import pandas as pd

from difffeat.backbones import weights_folder
from difffeat.base.format import MISSING, show
from difffeat.evidence.claims import Result, Table
from difffeat.probing import measures
from difffeat.probing.floors import Floor


def length(p):
    """How long the probes of a page are trained, as `probe.fit_grid` takes it: its epochs where set, else
    steps."""
    return dict(epochs=p.epochs) if p.epochs else dict(steps=p.steps)


def best_point(name, grid, what="", *, paper=None, seeds=()):
    """The best point of a grid, chosen on val, as results of a page.

    Parameters
    ----------
    name : str, start of the ids
    grid : grid.Grid
    what : str, what the point is, as a row of the table says it
    paper : paper.Published, optional
    seeds : noise seeds averaged over

    Returns
    -------
    list of Result: `<name>_score`, `<name>_timestep`, `<name>_block`, with intervals that hold the choice
    """
    about = dict(paper=paper, seeds=tuple(seeds), draws=len(grid.draws))
    places = np.unravel_index(grid.choices[1], grid.mean.shape)
    where = {"timestep": (grid.timesteps, places[0]), "block": (grid.blocks, places[1])}
    return [
        measured(f"{name}_score", grid.at_best, what, metric=grid.metric, **about),
        *(
            Result(f"{name}_{key}", best, _ends(np.asarray(points)[drawn]), metric=key, unit="")
            for best, (key, (points, drawn)) in zip(grid.best, where.items(), strict=True)
        ),
    ]


def _ends(values):
    """The central 95 % of values, both ends among them."""
    return tuple(np.quantile(values, [0.025, 0.975], method="inverted_cdf").tolist())


def floors(found):
    """Floors as results: `floor_<name>_score`."""
    return [measured(f"floor_{_id(floor)}_score", floor.measured, metric=floor.metric) for floor in found]


def floor(name, grid):
    """The best point of a grid as a floor: what a line in a figure needs."""
    return Floor(name, grid.at_best, grid.metric)


def gains(name, best, found):
    """What a number has above each floor: `<name>_over_<floor>`, its ratio, none for a floor of 0, and
    `<name>_less_<floor>`, the paired difference with its interval."""
    for floor in found:
        yield measured(f"{name}_less_{_id(floor)}", best - floor.measured, metric=floor.metric, unit="points")
        if floor.value:
            ratio = best.value / floor.value
            yield Result(f"{name}_over_{_id(floor)}", ratio, metric="ratio", unit="")


def _id(floor):
    return re.sub(r"\W+", "_", floor.name)


def dots(pairs):
    """Measured pairs as `plots.dots` draws them: {(image point, text point): (mAP, interval)}."""
    found = pairs.measured.items()
    return {(_point(image), _point(text)): (pair.test, pair.interval) for (image, text), pair in found}


def measured(name, number, what="", *, metric="mAP", unit="percent", **about):
    """A `stats.Measured` as a result with its interval; that of a metric ends at 0 and 1."""
    about.setdefault("draws", len(number.draws))
    interval = number.interval
    if unit == "percent":
        interval = tuple(min(max(end, 0.0), 1.0) for end in interval)
    return Result(name, number.value, interval, what, measures.measure(metric).name, unit, **about)


def heads(found, others, labels):
    """What fusion heads reach beside what they are to beat, as a table: a row each, two columns for each
    input.

    Parameters
    ----------
    found : dict of (input, head) to pairs.Pair
    others : dict of input to list of Floor, in one order, whatever stands below the heads
    labels : array of shape (N, K), 0 or 1, of the training samples: a constant guess has a loss on them

    Returns
    -------
    Table
        mAP on test with its interval, and the training loss of the last epoch.
    """
    inputs = list(others)
    lines = [
        {"head": name}
        | _columns(inputs, [found[kind, name].on_test for kind in inputs])
        | {f"loss, {kind}": f"{found[kind, name].losses[-1]:.3f}" for kind in inputs}
        for name in dict.fromkeys(name for _, name in found)
    ]
    blank = {f"loss, {kind}": MISSING for kind in inputs}
    lines += [
        {"head": same[0].name} | _columns(inputs, [floor.measured for floor in same]) | blank
        for same in zip(*others.values(), strict=True)
    ]
    guess = f"{constant_loss(labels):.3f}"
    empty = {f"mAP, {kind}": MISSING for kind in inputs}
    lines.append({"head": "a constant guess"} | empty | {f"loss, {kind}": guess for kind in inputs})
    return rows(lines)


def _columns(inputs, numbers):
    """{mAP, input: value with interval} of one row."""
    return {
        f"mAP, {kind}": measured("mAP", number).text for kind, number in zip(inputs, numbers, strict=True)
    }


def constant_loss(labels):
    """Binary cross-entropy of guessing each label's frequency: what a head has to get below."""
    share = np.clip(np.asarray(labels, dtype=float).mean(axis=0), 1e-12, 1 - 1e-12)
    return float(-(share * np.log(share) + (1 - share) * np.log1p(-share)).mean())


def listing(mapping, *, name="what", value="value"):
    """A mapping as a table of two columns.

    Parameters
    ----------
    mapping : dict
    name, value : str, heads of the columns
    """
    rows = [
        (key, ", ".join(map(str, held)) if isinstance(held, list | tuple) else str(held))
        for key, held in mapping.items()
    ]
    return Table(pd.DataFrame(rows, columns=[name, value]))


def rows(found):
    """Rows as a table.

    Parameters
    ----------
    found : iterable of dicts of column to value, all with the same columns
    """
    return Table(pd.DataFrame([{name: str(value) for name, value in row.items()} for row in found]))


def card(name):
    """The card of a shipped model: how it was trained, flat, as a table."""
    content = json.loads((weights_folder(name) / "card.json").read_text())
    return listing({**content.pop("options"), **content})


def training_log(name):
    """What was measured while a shipped model was trained, a DataFrame with a row per checkpoint."""
    return pd.read_csv(weights_folder(name) / "log.csv")


def searches(found):
    """What several searches found and what they took, as a table.

    Parameters
    ----------
    found : dict of name to search.SearchResult
    """
    return rows(
        {
            "search": name,
            "image (timestep, block)": _point(result.best_pair[0]),
            "text (timestep, block)": _point(result.best_pair[1]),
            "mAP": show(result.value, "percent", 2),
            "evaluations": result.total,
        }
        for name, result in found.items()
    )


def _point(point):
    """(50, 12), whatever kind of tuple it is."""
    return f"({point[0]}, {point[1]})"
