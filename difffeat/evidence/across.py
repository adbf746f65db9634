"""What the claims come to on several data sets: which hold everywhere, which somewhere, which nowhere."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from difffeat.base.files import ROOT
from difffeat.evidence.claims import find
from difffeat.evidence.papers.diff_feat.claims.claim import Claim
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import OTHER_DATA, Result, read_all

HOLDS, FAILS, OPEN = "reproduced", "differs", "inconclusive"
# The sentences on features that the paper says hold "regardless of dataset": they can be asked of any data.
GENERAL = (
    "image_unimodal_in_timestep",
    "image_unimodal_in_block",
    "image_same_best_block",
    "image_best_in_middle",
    "text_falls_with_timestep",
    "text_rises_with_block",
    "text_noised_falls_with_timestep",
    "text_noised_rises_with_block",
    "text_deterministic_beats_random",
    "fusion_beats_image",
    "fusion_beats_text",
    "search_finds_best",
)


def general() -> list[Claim]:
    """The claims of `GENERAL`, in that order."""
    known = {claim.id: claim for claim in CLAIMS}
    return [known[name] for name in GENERAL]


def folders(own: Path | str, stored: Path | str | None = None) -> dict[str, Path]:
    """{profile: folder of its results} of all that have some, the run's own first.

    Parameters
    ----------
    own : results folder of the run's own profile, `p.results`
    stored : folder of the results folders of other profiles, by default the project's
    """
    own, stored = Path(own), Path(stored or ROOT / "results")
    others = [folder for folder in sorted(stored.iterdir()) if folder.is_dir() and folder.name != own.name]
    return {own.name: own} | {folder.name: folder for folder in others if any(folder.glob("*.json"))}


def numbers(held: Mapping[str, Path]) -> dict[str, dict[str, Result]]:
    """{profile: {id: Result}} of all that their pages measured.

    Parameters
    ----------
    held : dict of profile to the folder of its results
    """
    pages = {name: read_all(folder).values() for name, folder in held.items()}
    return {
        name: {result.id: result for page in found for result in page.results}
        for name, found in pages.items()
    }


def placed(what: str, held: Mapping[str, Path], names: Mapping[str, str], key: str) -> str:
    """Where a number lies under several profiles, and whether all its intervals have a place in common.

    Parameters
    ----------
    what : str, what the number is: "The best block"
    held : dict of profile to the folder of its results
    names : dict of profile to what is said of it, such as "CIFAR-10"
    key : str, id of a result with an interval

    Returns
    -------
    str
        One sentence; "" where fewer than two of the profiles have measured it.
    """
    measured = numbers({name: held[name] for name in names if name in held})
    found = {names[name]: results[key] for name, results in measured.items() if key in results}
    if len(found) < 2:
        return ""
    lows, highs = zip(*(result.interval for result in found.values()), strict=True)
    told = "; ".join(f"{result.text} for {data}" for data, result in found.items())
    return f"{what}: {told}. The intervals {'overlap' if max(lows) <= min(highs) else 'lie apart'}."


def found(held: Mapping[str, Path], claims: Sequence[Claim] | None = None) -> dict[str, dict[str, Result]]:
    """{id of a claim: {profile: its Result}}, without those that a profile has not measured.

    Parameters
    ----------
    held : dict of profile to the folder of its results
    claims : sequence of Claim, by default the general ones
    """
    pages = {name: read_all(folder) for name, folder in held.items()}
    told = {}
    for claim in general() if claims is None else claims:
        results = {name: find(held, claim)[1] for name, held in pages.items()}
        told[claim.id] = {
            name: result for name, result in results.items() if result is not None and _decided(result)
        }
    return told


def _decided(result):
    return not result.status.startswith("not run") and result.status != OTHER_DATA


def words(told: dict[str, dict[str, Result]]) -> str:
    """One paragraph: which of the claims hold on all data sets that measured them, on some, on none.

    Parameters
    ----------
    told : as from `found`
    """
    said = [f"**Reproduced {where}**: {'; '.join(names)}." for where, names in _sorted(told).items() if names]
    return " ".join(said) or "No claim has been measured on more than one data set."


def counted(told: dict[str, dict[str, Result]]) -> str:
    """The same as numbers, in one sentence."""
    everywhere, somewhere, nowhere = map(len, _sorted(told).values())
    asked = everywhere + somewhere + nowhere
    return (
        f"{asked} claims were put to more than one data set: {everywhere} are reproduced on every one that "
        f"could be asked, {somewhere} on some, {nowhere} on none"
    )


def _sorted(told):
    """Claims that more than one data set measured, by where they hold, in words."""
    groups = {"everywhere": [], "somewhere": [], "nowhere": []}
    known = {claim.id: claim for claim in CLAIMS}
    for name, results in told.items():
        statuses = [result.status for result in results.values()]
        if len(statuses) > 1:
            holding = statuses.count(HOLDS)
            where = "everywhere" if holding == len(statuses) else "somewhere" if holding else "nowhere"
            groups[where].append(f"{_short(known[name])} ({holding} of {len(statuses)} data sets)")
    return groups


def _short(claim):
    said = claim.said()
    return said[0].lower() + said[1:]


def statuses(folder: Path | str) -> str:
    """How many claims the results of a folder decide, and how."""
    pages = read_all(folder)
    decided = [result.status for claim in CLAIMS if (result := find(pages, claim)[1]) and _decided(result)]
    counts = {status: decided.count(status) for status in (HOLDS, FAILS, OPEN)}
    told = ", ".join(f"{count} {'differ' if status == FAILS else status}" for status, count in counts.items())
    return f"Of {len(decided)} claims that can be asked of these data: {told}."
