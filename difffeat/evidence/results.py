"""What a page measured, as a file: one JSON per notebook, from which tables, prose and checks are made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
from IPython import get_ipython

from difffeat.base.files import write_whole
from difffeat.base.format import decimals, rounded, show, show_interval
from difffeat.base.run import environment, run_taken
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.shapes import Contradiction

if TYPE_CHECKING:
    from difffeat.features.cache import Features

SCHEMA = 2
DIGITS = 6  # significant digits kept of a float
OTHER_DATA = "other data"  # status of a number that stands beside the paper's for orientation alone
# Which of the paper's data sets a split is, by `Split.dataset`: there do numbers compare, not trends alone.
PAPER_NAMES = {
    "coco": ("MS-COCO", "MS-COCO-enhanced"),
    "vg500": ("VG500",),
    "ag_news": ("AG News",),
    "cifar100": ("CIFAR-100",),
    "tiny_imagenet": ("Tiny-ImageNet",),
    "voc": ("PASCAL VOC 2007",),
}


@dataclass(frozen=True)
class Result:
    """One number that a page measured.

    Attributes
    ----------
    id : str, letters, digits and underscores; names it in the file and, glued, in the book's prose
    value : float, int or str; metrics as fractions
    interval : (low, high), optional
    what : str, what the number is, as a row of the table says it; needed where the paper has a number
    metric : str
    unit : "percent" (a fraction), "points" (a difference of fractions), "count", or ""
    paper : paper.Published, optional
    seeds : sequence of int, the seeds it was averaged over
    draws : int, resamples behind the interval
    support, against : shares of draws that decide a claim; None for a number that is no claim
    contradiction : Contradiction, the comparison that speaks most strongly against a claim, if one does
    status : str, computed: by `check` for a claim, by `record` for a number
    """

    id: str
    value: float | int | str | None
    interval: tuple | None = None
    what: str = ""
    metric: str = "mAP"
    unit: str = "percent"
    paper: Published | None = None
    seeds: tuple = ()
    draws: int | None = None
    support: float | None = None
    against: float | None = None
    contradiction: Contradiction | None = None
    status: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z]\w*", self.id):
            raise ValueError(f"id {self.id!r} must be letters, digits and underscores: prose cites it")
        numbers = [n for n in (self.value, *(self.interval or ())) if not isinstance(n, str | None)]
        if not np.isfinite(numbers).all():
            raise ValueError(
                f"{self.id} = {self.value}, interval {self.interval}: must be finite to be recorded"
            )
        if self.paper is not None and not self.what:
            raise ValueError(f"{self.id} has a number of the paper but does not say what it is: give `what`")

    @property
    def digits(self) -> int:
        """Digits after the point that it is shown with."""
        return decimals(self.unit, self.interval, self.paper.rounding if self.paper else None)

    @property
    def text(self) -> str:
        """As prose cites it: 60.5% (59.8 to 61.2)."""
        ends = f" ({show_interval(self.interval, self.unit, self.digits)})" if self.interval else ""
        return show(self.value, self.unit, self.digits) + ends


@dataclass(frozen=True)
class Page:
    """Everything one notebook measured, and how; the content of a results file.

    Attributes
    ----------
    profile, notebook, dataset : str
    results : tuple of Result
    parameters : dict, the notebook's parameters
    cache : tuple of str, what the features behind it are known by, see `cache_id`
    commit : str, or None outside a repository
    versions : dict of package to version
    run : dict, what it took: seconds, peak_gb (and gpu_peak_gb), processor, threads, date; says nothing about
        the numbers
    details : tuple, more that the page measured, for other pages to read; not cited and not compared
    """

    profile: str
    notebook: str
    dataset: str
    results: tuple
    parameters: dict
    cache: tuple
    commit: str | None
    versions: dict
    run: dict = field(default_factory=dict)
    details: tuple = ()

    def __getitem__(self, name: str) -> Result:
        """The Result of this id; an error names those there are."""
        found = {result.id: result for result in self.results}
        if name not in found:
            raise KeyError(f"{self.notebook} has no result {name!r}; it has {', '.join(found)}")
        return found[name]


def record(
    p: SimpleNamespace,
    *results: Result,
    cache: Iterable[Features] = (),
    dataset: str | None = None,
    details: Iterable = (),
) -> Page:
    """Write what a notebook measured to `results/<profile>/<notebook>.json`, and glue it for prose to cite.

    In a notebook every result is glued under its id (rounded as it is shown, percentages as fractions: cite
    it with the format .1%), as text with its interval under `<id>_text`, its status under `<id>_status`, and
    what it is under `<id>_of`, as in "mAP on scenes".

    Parameters
    ----------
    p : Parameters of the notebook, from `profiles.parameters`
    *results : Result
    cache : sequence of cache.Features, the features they were measured on
    dataset : str, optional; by default what the profile's data settings say
    details : more to keep in the file, as JSON takes it

    Returns
    -------
    Page
        With the status of plain numbers filled in; `compare` shows it.

    Raises
    ------
    ValueError
        If there is no result or two have the same id.
    OSError
        If the file cannot be written; one that was there stays as it was.
    """
    names = [result.id for result in results]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"a page records one or more results, each with its own id; got {names}")
    dataset = dataset or p.dataset
    made_with = environment()
    page = Page(
        profile=p.profile,
        notebook=p.notebook,
        dataset=dataset,
        results=tuple(_kept(number_status(result, dataset)) for result in results),
        parameters=dict(p.parameters),
        cache=tuple(cache_id(features) for features in cache),
        commit=made_with.pop("commit"),
        versions=made_with,
        run=_kept(run_taken()),
        details=_kept(tuple(details)),
    )
    path = Path(p.results) / f"{p.notebook}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"schema": SCHEMA} | _kept(asdict(page))
    for result in content["results"]:
        result["paper"] = result["paper"] and Published(*result["paper"])._asdict()
        result["contradiction"] = (
            result["contradiction"] and Contradiction(*result["contradiction"])._asdict()
        )
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    _glue(page)
    return page


def read(path: Path | str) -> Page:
    """A results file.

    Raises
    ------
    ValueError
        If it is not one, or of another schema.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        schema = dict(content).get("schema")
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is not a results file ({error}); run its notebook again") from error
    if schema != SCHEMA:
        raise ValueError(f"{path} has schema {schema}, this version reads {SCHEMA}; run its notebook again")
    del content["schema"]
    results = [_result(entry) for entry in content.pop("results")]
    details = _kept(tuple(content.pop("details")))
    return Page(results=tuple(results), cache=tuple(content.pop("cache")), details=details, **content)


def read_all(folder: Path | str) -> dict[str, Page]:
    """Every results file of a folder, by notebook."""
    return {path.stem: read(path) for path in sorted(Path(folder).glob("*.json"))}


def cache_id(features: Features) -> str:
    """What a features cache is known by: a hash of its provenance, which decides its content."""
    canonical = json.dumps(dict(features.provenance), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def comparable(dataset: str, paper: Published) -> bool:
    """Whether a number measured on this data set may be held against that number of the paper."""
    return paper.dataset in PAPER_NAMES.get(dataset, ())


def number_status(result: Result, dataset: str) -> Result:
    """A plain number beside the paper's: reproduced within the noise of both, or of other data.

    The paper prints no intervals. Its number comes from as many images as ours on the same data, so it gets
    the same half-width, and the difference of the two then has sqrt(2) times that.
    """
    if result.status or result.paper is None:
        return result
    if not comparable(dataset, result.paper):
        return replace(result, status=OTHER_DATA)
    low, high = result.interval or (result.value, result.value)
    tolerance = max(high - result.value, result.value - low) * 2**0.5 + result.paper.rounding
    near = abs(result.value - result.paper.value) <= tolerance * (1 + 1e-9)
    return replace(result, status="reproduced" if near else "differs")


def _kept(value):
    """As JSON keeps it: plain Python numbers, floats to six significant digits."""
    if isinstance(value, Published | Contradiction):
        return type(value)(*map(_kept, value))
    if isinstance(value, Result):
        plain = {name: getattr(value, name) for name in value.__dataclass_fields__}
        return replace(value, **{name: _kept(field) for name, field in plain.items()})
    if isinstance(value, dict):
        return {str(key): _kept(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_kept, value))
    if isinstance(value, np.generic):
        value = value.item()
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _result(entry):
    paper = entry.pop("paper")
    interval, against = entry.pop("interval"), entry.pop("contradiction")
    return Result(
        **entry | {"seeds": tuple(entry["seeds"])},
        interval=interval and tuple(interval),
        paper=paper and Published(**paper),
        contradiction=against and Contradiction(*(_kept(value) for value in against.values())),
    )


def _glue(page):
    """Make every result citable from prose; outside a notebook there is nothing to do."""
    if get_ipython() is None:
        return
    from myst_nb import glue  # pulls Sphinx in, which nothing but a notebook needs

    for result in page.results:
        glue(result.id, rounded(result.value, result.unit, result.digits), display=False)
        glue(f"{result.id}_text", result.text, display=False)
        glue(f"{result.id}_of", f"{result.metric} on {page.dataset}", display=False)
        if result.status:
            glue(f"{result.id}_status", result.status, display=False)
