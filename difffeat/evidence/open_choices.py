"""What open choices change: the entries of `book/deviations.md` beside the results that measure them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from difffeat.base.files import ROOT
from difffeat.base.format import MISSING
from difffeat.evidence.results import Page, Result

PROTOCOLS = "32_protocol"  # holds the status of every claim under other protocols
OWN = "92_open_choices"
ELSEWHERE = "no page of the book varies it"


class Entry(NamedTuple):
    """One entry: the label that it is cited by, its number and its title."""

    label: str
    number: int
    title: str

    @property
    def anchor(self) -> str:
        """The id of its first row on the page of open choices."""
        return self.label.replace("dev-", "choice-", 1)

    @property
    def name(self) -> str:
        """As tables write it."""
        return f"{self.number}. {self.title}"


class Compared(NamedTuple):
    """What measures an entry: two things compared, the page that does it, and the results that say it.

    `axis` is that of a protocol instead, where statuses are what is compared.
    """

    what: str
    page: str
    results: tuple = ()
    axis: str = ""


MEASURED = {
    "dev-noise": (
        Compared("images: the first noise seed less the last, largest timestep", OWN, ("choice_seed",)),
        Compared("statuses under each noise seed and under all", PROTOCOLS, axis="noise seed"),
    ),
    "dev-clock": (
        Compared("text at t = 0: without noise less with it", OWN, ("choice_clock",)),
        Compared("images: noised less clean", "20_probe_image_grid", ("image_less_clean_input",)),
    ),
    "dev-noising": (
        Compared(
            "text: deterministic less random, mean of the grid",
            "21_probe_text_grid",
            ("text_deterministic_beats_random",),
        ),
    ),
    "dev-pooling": (
        Compared(
            "images: the four quarters side by side less one mean, at the best point",
            OWN,
            ("choice_quadrants",),
        ),
    ),
    "dev-padding": (
        Compared("text: padding in the mean less left out", OWN, ("choice_pooling_mean",)),
        Compared("text: padding not shown less left out", OWN, ("choice_pooling_unpadded",)),
    ),
    "dev-enhanced": (
        Compared(
            "fusion: enhanced captions less as written", "36_leakage", ("leakage_enhanced_less_written",)
        ),
    ),
    "dev-unlabelled": (Compared("samples of test without any label", OWN, ("choice_unlabelled",)),),
    "dev-scaling": (Compared("statuses with and without scaling", PROTOCOLS, axis="scaling"),),
    "dev-batch": (
        Compared("statuses after more and fewer steps", PROTOCOLS, axis="steps"),
        Compared("statuses with and without weight decay", PROTOCOLS, axis="weight decay"),
    ),
    "dev-cf1": (Compared("images: harmonic less macro CF1, at the best point", OWN, ("choice_cf1",)),),
    "dev-ap": (Compared("labels of test without a positive", OWN, ("choice_no_positive",)),),
    "dev-selection": (
        Compared("images: best on test less chosen on validation", OWN, ("choice_selection",)),
    ),
    "dev-blocks": (
        Compared(
            "smooth curves with a peak in block 10 to 14 of which block 12 of five wins",
            "91_layer12",
            ("layer12_wins",),
        ),
    ),
    "dev-attention": (
        Compared(
            "attention over one key; over channels",
            "30_fusion",
            ("fusion_cross_attention_enhanced_score", "fusion_channel_attention_enhanced_score"),
        ),
    ),
    "dev-linear": (
        Compared(
            "linear addition less one probe on both features",
            "30_fusion",
            ("fusion_less_one_probe_on_both_features",),
        ),
    ),
    "dev-neighbours": (
        Compared("best pair of the grid less the pair found", "31_search", ("search_finds_best",)),
    ),
    "dev-inside": (
        Compared(
            "best activation inside a block less the narrow ones of its block side by side",
            "52_joined",
            ("joined_over_narrow",),
        ),
    ),
}
NOT_MEASURED = {
    "dev-latents": "the embedded model has no autoencoder, so there is nothing to sample",
    "dev-crop": "scenes are square and drawn at the model's side, so nothing is cut",
    "dev-caption": "another caption is another profile: `caption` in its data settings",
    "dev-intervals": "tests hold how often each kind of interval covers the truth",
    "dev-models": "another model is another profile",
    "dev-dit": "tests hold that it is the official model",
    "dev-plaid": "tests hold that it is the official model up to rounding",
    "dev-prior": "it takes another training",
    "dev-pictures": "scenes are upright and opaque",
    "dev-heads": "another measure of speed is another definition; other pairs are parameters of that page",
    "dev-accuracy": "which labels are shown changes no number of theirs",
    "dev-tsne": "the page on clusters shows what its seeds move, and other settings are its parameters",
}


def entries(path: Path | str | None = None) -> list[Entry]:
    """The entries of the page on deviations, in its order; by default of the book's."""
    path = path or ROOT / "book" / "deviations.md"
    found = re.findall(
        r"^\((dev-[a-z0-9]+)\)=\n### (\d+)\. (.+)$", Path(path).read_text(encoding="utf-8"), re.MULTILINE
    )
    return [Entry(label, int(number), title) for label, number, title in found]


def rows(told: Sequence[Entry], pages: Mapping[str, Page], own: Sequence[Result] = ()) -> list[dict]:
    """A row for every comparison, and one for each entry without any.

    Parameters
    ----------
    told : sequence of Entry
    pages : dict of notebook to Page, the results of a profile
    own : results measured on the page that shows the rows

    Returns
    -------
    list of dicts of "entry" (an `Entry`), "compared", "what it changes" and "page" (a notebook, or a dash)
    """
    held = {name: {result.id: result for result in page.results} for name, page in pages.items()}
    held[OWN] = {result.id: result for result in own}
    found = []
    for entry in told:
        for compared in MEASURED.get(entry.label, ()):
            says = _statuses(pages, compared) if compared.axis else _numbers(held, compared)
            found.append(_row(entry, compared.what, says, compared.page if says else MISSING))
        if entry.label not in MEASURED:
            reason = NOT_MEASURED.get(entry.label, ELSEWHERE)
            found.append(_row(entry, MISSING, f"not measured here: {reason}", MISSING))
    return found


def _row(entry, what, says, page):
    return {
        "entry": entry,
        "compared": what,
        "what it changes": says or "not measured in this run",
        "page": page,
    }


def _numbers(held, compared):
    """The results as text; empty where one was not measured."""
    results = held.get(compared.page, {})
    if not results.keys() >= set(compared.results):
        return ""
    written = [f"{results[name].text}{_unit(results[name])}" for name in compared.results]
    return " and ".join(written)


def _unit(result):
    """What a shown value lacks: points and counts do not say what they are of."""
    return f" points of {result.metric.partition(',')[0]}" if result.unit == "points" else ""


def _statuses(pages, compared):
    """How many claims change their status along an axis of the page on protocols."""
    if compared.page not in pages:
        return ""
    along = [told["claims"] for told in pages[compared.page].details if told["axis"] == compared.axis]
    claims = along[0] if along else {}
    changed = [name for name in claims if len({found[name]["status"] for found in along}) > 1]
    return f"{len(changed)} of {len(claims)} claims change their status" if claims else ""


def resolved(results: Sequence[Result]) -> list[Result]:
    """Those of the differences whose interval leaves out 0."""
    return [
        result
        for result in results
        if result.unit == "points" and result.interval and (result.interval[0] > 0 or result.interval[1] < 0)
    ]
