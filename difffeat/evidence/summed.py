"""What single pages of a profile found, for a recorded page that sums them up: read from their results, in
words and as `plots.dots` takes it.
"""

import re
from collections.abc import Mapping

from difffeat.base.format import show
from difffeat.evidence.results import Page, Result
from difffeat.probing.clusters import INDICES

# What becomes of padding where page 24 pools texts.
POOLINGS = {"mean": "in the mean", "real": "out of the mean", "unpadded": "not shown"}
SPACES = {"features": "in feature space", "plane": "on the plane"}  # where page 33 measures tightness
# What page 52 holds the best place inside a block against, and several places side by side.
JOINED = {
    "inside, less outputs": "joined_gain",
    "inside the best block, less its output": "joined_block_gain",
    "inside, less narrow places together": "joined_over_narrow",
    "inside, less itself untrained": "joined_over_untrained",
    "several, less the best of them": "joined_combined_gain",
}
HOLDS = {"reproduced": "holds", "differs": "does not hold", "inconclusive": "is not decided"}


def noising(page: Page) -> list[str]:
    """What deterministic noising has above random noise, on the page on noising: sentences.

    Parameters
    ----------
    page : Page of 23_noising
    """
    gain, copied = page["noising_text_gain"], page["noising_copy_gain"]
    drawn, mean = page["noising_random_draws_averaged_score"], page["noising_mean_score"]
    pictures = page["noising_images_same"]
    return [
        f"Averaged over the grid, deterministic noising has {gain.text} points to random noise, and "
        f"{copied.text} in the untrained copy.",
        "At one point, on fewer texts, features averaged over the draws of random noise reach "
        f"{show(drawn.value, 'percent')}, those of deterministic noising {show(mean.value, 'percent')}.",
        f"For images, that the two do not differ {_holds(pictures)}: where they differ most, by "
        f"{pictures.text} points.",
    ]


def lengths(page: Page) -> dict[tuple[str, str], tuple]:
    """Scores by number of tokens and by what is done with padding, as `plots.dots` takes them.

    Parameters
    ----------
    page : Page of 24_token_length

    Returns
    -------
    dict of ("L = 24", where padding is) to (value, interval), rising lengths
    """
    found = [(re.fullmatch(r"length_([a-z]+)_(\d+)_score", one.id), one) for one in page.results]
    scores = [(int(name[2]), POOLINGS[name[1]], one) for name, one in found if name]
    scores.sort(key=lambda score: score[0])
    return {(f"L = {size}", pooling): (one.value, one.interval) for size, pooling, one in scores}


def length_words(page: Page) -> list[str]:
    """Which length is best, and what padding alone takes: sentences.

    Parameters
    ----------
    page : Page of 24_token_length
    """
    best, longest = page["text_best_length"], page["length_longest_text"]
    lost = {words: page[f"length_{pooling}_lost"] for pooling, words in POOLINGS.items()}
    rise = page["length_rises_then_falls"]
    told = "; ".join(f"{words} {fall.text}" for words, fall in lost.items())
    return [
        f"Validation texts choose L = {best.text}; the longest text of training has {longest.text} tokens.",
        f"Points lost from the first length that cuts none to the longest, with padding {told}.",
        f"That the curve rises and then falls {_holds(rise)}.",
    ]


def silhouettes(page: Page, kind: str = "as written") -> dict[tuple[str, str], tuple]:
    """The silhouette of each representation, as `plots.dots` takes it.

    Parameters
    ----------
    page : Page of 33_clusters
    kind : str, of captions

    Returns
    -------
    dict of (representation, "in feature space" or "on the plane") to (value, interval); empty where there
    were too few samples
    """
    held = {}
    for space, words in SPACES.items():
        start, end = f"{space}_{kind.replace(' ', '_')}_", "_silhouette"
        found = [one for one in page.results if one.id.startswith(start) and one.id.endswith(end)]
        names = [one.id.removeprefix(start).removesuffix(end).replace("_", " ") for one in found]
        held |= {(name, words): (one.value, one.interval) for name, one in zip(names, found, strict=True)}
    return held


def cluster_words(page: Page, kind: str = "as written") -> list[str]:
    """Whether fused features are the tightest, by each index, and what is the tightest: sentences.

    Parameters
    ----------
    page : Page of 33_clusters
    kind : str, of captions
    """
    claimed = {
        words: [f"{_holds(page[f'clusters_{index.lower()}_{space}'])} by {index}" for index in INDICES]
        for space, words in SPACES.items()
    }
    told = "; ".join(f"{words} it {', '.join(each)}" for words, each in claimed.items())
    held = silhouettes(page, kind)
    sentences = [f"That fused features lie tighter than those of either modality: {told}."]
    for words in SPACES.values():
        inside = {name: value for (name, where), (value, _) in held.items() if where == words}
        if inside:
            first = max(inside, key=inside.get)
            sentences.append(f"The highest silhouette {words}: {first}, {show(inside[first], digits=2)}.")
    return sentences


def joined_gaps(page: Page) -> dict[str, tuple]:
    """What the best place inside a block has to other features, as `plots.dots` takes it.

    Parameters
    ----------
    page : Page of 52_joined

    Returns
    -------
    dict of name to (difference, interval)
    """
    return {name: (page[key].value, page[key].interval) for name, key in JOINED.items()}


def joined_words(page: Page) -> list[str]:
    """Whether a place inside a block is better than outputs, and whether the best point moves: sentences.

    Parameters
    ----------
    page : Page of 52_joined
    """
    inside, outputs = (_point(page, name) for name in ("inside", "out"))
    gain, within, narrow, untrained = (
        page[f"joined_{name}"] for name in ("gain", "block_gain", "over_narrow", "over_untrained")
    )
    return [
        f"Outputs are best {outputs}, places inside blocks {inside}: {_points(gain)} to the best output.",
        f"In the block of the best output, the place that val chooses has {_points(within)} to it.",
        *moves({axis: page[f"joined_{axis}_moves"] for axis in ("timestep", "block")}),
        f"The best point inside has {_points(narrow)} to the narrow places of its block together, and "
        f"{_points(untrained)} to itself untrained.",
    ]


def moves(moved: Mapping[str, Result]) -> list[str]:
    """Whether the best point moves when features are read inside blocks: a sentence for each axis.

    Parameters
    ----------
    moved : dict of "timestep" and "block" to what it changes by
    """
    sentences = []
    for axis, one in moved.items():
        low, high = one.interval
        how = "it cannot be told from no change" if low <= 0 <= high else "it moves"
        sentences.append(
            f"From the best output to the best point inside, the {axis} changes by {one.text}: {how}."
        )
    return sentences


def _point(page, name):
    """Where one of both sides is best, and what it reaches there."""
    score, timestep, block = (page[f"joined_{name}_{key}"] for key in ("score", "timestep", "block"))
    return f"at t = {timestep.value}, block {block.value} ({show(score.value, 'percent')})"


def _points(difference):
    """A difference with its interval, and whether that holds 0."""
    low, high = difference.interval
    beyond = "" if low > 0 or high < 0 else ", not told apart from none,"
    return f"{difference.text} points{beyond}"


def _holds(claim):
    """What a claim came to, as a verb."""
    return HOLDS.get(claim.status, "could not be asked")
