"""The paper's printed numbers held against each other: what its tables give of what its text and tables say.

Nothing is measured here. Each check reads the tables alone and says whether they agree with what is said of
them, within the rounding of print. `of_tables` is all of them; the two in `of_labels` take real label sets.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.checks_curves import of_curves
from difffeat.evidence.papers.diff_feat.checks_scores import of_scores
from difffeat.evidence.papers.diff_feat.verdicts import (
    DIGIT,
    FAILS,
    HOLDS,
    SLACK,
    UNKNOWN,
    Check,
    among,
    verdict,
)
from difffeat.probing import search

TRAIN = 82_783  # training images of MS-COCO, section 4
WORDS = {HOLDS: "hold", FAILS: "do not hold", UNKNOWN: "cannot be told"}  # of several
ROWS = 20  # points of the text grid of Table 5, paired in Table 4


def of_tables() -> list[Check]:
    """Every check of the tables against each other and against the text: curves, scores, then the rest."""
    return [*of_curves(), *of_scores(), *of_summaries()]


def of_summaries() -> list[Check]:
    """Every check of a number that sums others up, of a count, and of what the text names."""
    checks = [text_mean(), text_deviation(), paired_t(), every_point()]
    checks += [neighbourhood(number) for number in (5, 6)] + [chosen_pair()]
    checks += [fusion_beats(number) for number in (5, 6)]
    checks += [headline(1, 5), headline(2, 6), headline_row(), highest(1), highest(2)]
    return [*checks, rare_shares(), rare_below(), lengths(), clustered_points(), clusters()]


def of_labels(labels: ArrayLike, names: Sequence[str]) -> list[Check]:
    """The checks that take the label sets of the 40,504 validation images of MS-COCO, whose order is free.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    names : sequence of K str
    """
    sets = Counter(tuple(np.asarray(names)[row]) for row in np.asarray(labels, dtype=bool))
    return [label_sets(sets), commonest_sets(sets)]


def text_mean() -> Check:
    """Table 4's mean of deterministic noising from the text rows of Table 5."""
    return _summary("mean", "mAP_mean", paper.grid(5, "text").values.mean())


def text_deviation() -> Check:
    """Table 4's standard deviation of deterministic noising from the text rows of Table 5."""
    return _summary("standard deviation", "mAP_std", paper.grid(5, "text").values.std(ddof=1))


def _summary(what, column, ours):
    printed = paper.value(4, column, noising="deterministic")
    near = abs(ours - printed.value) <= (printed.rounding + DIGIT) * SLACK
    said = f"{show(printed.value, 'percent', 2)} over the points"
    given = f"the {what} of the {ROWS} text rows of Table 5 is {show(float(ours), 'percent', 2)}"
    return Check(f"Table 4's {what}, deterministic noising", "Tables 4 and 5", said, verdict(near), given)


def paired_t() -> Check:
    """Whether Table 4's t can come from its means and deviations: the differences of the pairs then have a
    deviation that some correlation of the two kinds of noising gives."""
    gap, spread = _differences()
    a, b = (_table4("mAP_std", kind) for kind in ("deterministic", "random"))
    correlation = (a**2 + b**2 - spread**2) / (2 * a * b)
    given = (
        f"a mean difference of {show(gap, 'points', 2)} points with that t has a deviation of "
        f"{100 * spread:.2f} points over {ROWS} pairs, which takes a correlation of {correlation:.2f} "
        "between them; random noising is not printed point by point"
    )
    found = UNKNOWN if abs(correlation) <= 1 else verdict(False)
    said = f"t = {paper.value(4, 't_value', noising='deterministic').value}, p < 0.001"
    return Check("Table 4's t", "Table 4", said, found, given)


def every_point() -> Check:
    """Whether Table 4 shows that every point is better with deterministic noising, as Figure 8 is said to: no
    value of n lies further from their mean than (n - 1) / sqrt(n) deviations."""
    gap, spread = _differences()
    least = gap - spread * (ROWS - 1) / ROWS**0.5
    given = f"the mean and the deviation allow a point with {show(least, 'points', 1)} points"
    found = verdict(True) if least > 0 else UNKNOWN
    said = "deterministic noising is higher at every point"
    return Check("Figure 8 from Table 4", "Figure 8, Table 4", said, found, given)


def _differences():
    """Mean and deviation of the paired differences, from the means and t."""
    gap = _table4("mAP_mean", "deterministic") - _table4("mAP_mean", "random")
    return gap, gap * ROWS**0.5 / paper.value(4, "t_value", noising="deterministic").value


def _table4(column, kind):
    return paper.value(4, column, noising=kind).value


def neighbourhood(number: int) -> Check:
    """Whether the pairs of Table 5 or 6 are the neighbours of the best points, as Algorithm 1 says."""
    image, text = (paper.grid(number, modality) for modality in ("image", "text"))
    near = [search.neighbours(_best(grid), grid.blocks, grid.timesteps) for grid in (image, text)]
    expected = {(tuple(a), tuple(b)) for a in near[0] for b in near[1]}
    printed = set(paper.pairs(number))
    given = (
        f"best alone {_best(image)} and {_best(text)}; their neighbours make {len(expected)} pairs, printed "
        f"are {len(printed)}, {len(expected & printed)} of them these"
    )
    said = "the pairs are those of the neighbours, one step away, of the best points"
    found = verdict(expected == printed)
    return Check(
        f"Neighbourhood of Algorithm 1, Table {number}", f"Algorithm 1, Table {number}", said, found, given
    )


def _best(grid):
    """The (timestep, block) where a printed grid is highest."""
    row, column = np.unravel_index(grid.values.argmax(), grid.values.shape)
    return grid.timesteps[row], grid.blocks[column]


def chosen_pair() -> Check:
    """Whether the best pair of Table 5 is the one that section 4.3 names."""
    pairs = paper.pairs(5)
    best = max(pairs, key=pairs.get)
    found = verdict(best == ((30, 12), (0, 20)) and round(pairs[best], 4) == 0.9857)
    given = f"image {best[0]} with text {best[1]}, {show(pairs[best], 'percent', 2)}"
    said = "image (30, 12) with text (0, 20), 98.57%"
    return Check("Best pair of Table 5", "section 4.3, Table 5", said, found, given)


def fusion_beats(number: int) -> Check:
    """Whether every printed pair is above the best of either modality."""
    alone = {modality: paper.best(number, modality).value for modality in ("image", "text")}
    pairs = np.array(list(paper.pairs(number).values()))
    above = (pairs > max(alone.values())).sum()
    given = (
        f"{among(above, len(pairs), 'pairs')} above the best image ({show(alone['image'], 'percent', 2)}) "
        f"and the best text ({show(alone['text'], 'percent', 2)}); highest {show(pairs.max(), 'percent', 2)}"
    )
    said = "fusion is better than either modality alone"
    source = f"section 3.3, Table {number}"
    return Check(f"Fusion, Table {number}", source, said, verdict(above == len(pairs)), given)


def headline(summary: int, grid: int) -> Check:
    """Whether the mAP of the abstract, in Table 1 or 2, is the best of Table 5 or 6, rounded."""
    printed, best = paper.value(summary, "mAP", method="Diff-Feat"), paper.best(grid, "fusion")
    found = verdict(_rounds(best.value, printed.value) and printed.value in (0.986, 0.457))
    said = f"{show(printed.value, 'percent', 1)} mAP on {printed.dataset}"
    given = f"the best pair of Table {grid} has {show(best.value, 'percent', 2)}"
    source = f"abstract, Tables {summary} and {grid}"
    return Check(f"Headline, {printed.dataset}", source, said, found, given)


def _rounds(exact, printed):
    """Whether a number of two digits is printed as that of one."""
    return abs(exact - printed) <= 5e-4 * SLACK


def headline_row() -> Check:
    """Whether the row of Table 1 is the best row of Table 5, rounded, by every metric."""
    rows = paper.table(5)
    row = rows.loc[rows[rows.modality == "fusion"].mAP.idxmax()]
    metrics = ("mAP", "CP", "CR", "CF1", "OP", "OR", "OF1")
    printed = {metric: paper.value(1, metric, method="Diff-Feat").value for metric in metrics}
    wrong = [metric for metric in metrics if not _rounds(row[metric], printed[metric])]
    given = among(len(metrics) - len(wrong), len(metrics), "metrics") + (
        f"; not {', '.join(wrong)}" if wrong else ""
    )
    said = "the row of Diff-Feat is that of the best pair"
    return Check("Table 1 from Table 5", "Tables 1 and 5", said, verdict(not wrong), given)


def highest(number: int) -> Check:
    """Whether Diff-Feat has the highest number of each column of Table 1 or 2."""
    rows = paper.table(number)
    metrics = [name for name in rows if name in paper.PERCENTAGES]
    leaders = {metric: rows.method[rows[metric].idxmax()] for metric in metrics}
    wrong = [f"{metric}: {who}" for metric, who in leaders.items() if who != "Diff-Feat"]
    given = among(len(metrics) - len(wrong), len(metrics), "columns") + (
        f"; not {', '.join(wrong)}" if wrong else ""
    )
    said = "the best results are those of Diff-Feat"
    return Check(f"Highest of Table {number}", f"Table {number}", said, verdict(not wrong), given)


def rare_shares() -> Check:
    """Whether the shares of Table 3 are its counts by the number of training images."""
    rows = paper.table(3)
    wrong = rows[(rows.images / TRAIN - rows.percentage).abs() > 0.5e-6 * SLACK]
    given = among(len(rows) - len(wrong), len(rows), "shares") + "".join(
        f"; {category}" for category in wrong.category
    )
    said = f"each share is the number of images by {TRAIN:,}"
    return Check("Table 3's shares", "Table 3, section 4", said, verdict(not len(wrong)), given)


def rare_below() -> Check:
    """Whether every category of Table 3 is below 1 %."""
    rows = paper.table(3)
    given = f"the most frequent is {rows.category[rows.images.idxmax()]}, {rows.images.max() / TRAIN:.4%}"
    said = "categories in less than 1 % of the images"
    return Check("Table 3's threshold", "Table 3", said, verdict((rows.images < 0.01 * TRAIN).all()), given)


def lengths() -> Check:
    """Whether Table 8 counts every training image."""
    total = int(paper.table(8).samples.sum())
    said, given = f"{TRAIN:,} training images", f"the counts sum to {total:,}"
    return Check("Table 8's counts", "Table 8, section 4", said, verdict(total == TRAIN), given)


def clustered_points() -> Check:
    """Whether the single features of Table 10 are the best of Table 5."""
    best = {modality: _best(paper.grid(5, modality)) for modality in ("image", "text")}
    rows = paper.table(10).representation
    named = {kind: f"{kind} (t = {t}, b = {b})" for kind, (t, b) in best.items()}
    given = f"the best of Table 5 are image {best['image']} and text {best['text']}"
    said = "; ".join(row for row in rows if not row.startswith("fusion"))
    found = verdict(all((rows == name).any() for name in named.values()))
    return Check("Features of Table 10", "Tables 5 and 10", said, found, given)


def clusters() -> Check:
    """Whether fusion is the best of Table 10 by all three indices."""
    rows = paper.table(10)
    best = {"DBI": rows.DBI.idxmin(), "CHI": rows.CHI.idxmax(), "silhouette": rows.silhouette.idxmax()}
    wins = sum(rows.representation[row].startswith("fusion") for row in best.values())
    said = "fused features form tighter clusters by DBI, CHI and silhouette"
    return Check(
        "Clusters", "section 5, Table 10", said, verdict(wins == len(best)), among(wins, len(best), "indices")
    )


def label_sets(sets: Counter) -> Check:
    """Whether as many validation images have exactly the label sets of Table 9 as it says.

    Parameters
    ----------
    sets : Counter of tuples of names, how many images have each label set
    """
    rows = paper.table(9)
    named = {
        frozenset(said.split(", ")): count for said, count in zip(rows.categories, rows.images, strict=True)
    }
    counted = {frozenset(held): count for held, count in sets.items()}
    found = {" + ".join(sorted(held)): (counted.get(held, 0), said) for held, said in named.items()}
    given = ", ".join(f"{name} {count}" for name, (count, _) in found.items())
    said = ", ".join(f"{name} {printed}" for name, (_, printed) in found.items())
    right = all(count == printed for count, printed in found.values())
    return Check("Table 9's label sets", "Table 9, labels of val2014", said, verdict(right), given)


def commonest_sets(sets: Counter) -> Check:
    """What Figure 5 (b) draws: the 80 commonest label sets. It is a picture without numbers, so the labels
    say what it leaves out, and no more."""
    named = Counter({held: count for held, count in sets.items() if held})
    top, images = named.most_common(80), sum(sets.values())
    covered = sum(count for _, count in top)
    given = (
        f"the {len(top)} commonest of {len(named):,} label sets are those of {covered:,} of {images:,} "
        f"images ({covered / images:.1%}), from {top[0][1]:,} ({' + '.join(top[0][0])}) to {top[-1][1]:,}"
    )
    said = "accuracy on the 80 commonest label sets, drawn and not printed"
    return Check("Label sets of Figure 5 (b)", "Figure 5 (b), labels of val2014", said, UNKNOWN, given)


def summary(checks: Sequence[Check]) -> str:
    """How many checks have each verdict, and which do not hold or cannot be told, in words."""
    found = counts(checks)
    named = {word: [check.what for check in checks if check.verdict == word] for word in (FAILS, UNKNOWN)}
    lists = [f"What {word}: {'; '.join(which)}." for word, which in named.items() if which]
    parts = ", ".join(f"{count} {word if count == 1 else WORDS[word]}" for word, count in found.items())
    return " ".join([f"Of {len(checks)} checks: {parts}.", *lists])


def counts(checks: Iterable[Check]) -> dict[str, int]:
    """How many checks have each verdict."""
    found = Counter(check.verdict for check in checks)
    return {word: found[word] for word in (HOLDS, FAILS, UNKNOWN)}
