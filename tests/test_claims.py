"""Claims tell a trend from noise; what a page measured reaches its file, its table and its prose."""

import json
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from difffeat.evidence import claims, results
from difffeat.evidence.claims import check
from difffeat.evidence.differences import differences
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.listed import CLAIMS
from difffeat.evidence.results import Result
from difffeat.show import tables

SHAPES = {
    "image": ["image_unimodal_in_timestep", "image_unimodal_in_block", "image_same_best_block"],
    "text": ["text_falls_with_timestep", "text_rises_with_block"],
}


def measured(truth, *, noise=0.0, spread=None, seed=0, draws=300):
    """A grid measured with noise: the value is off by one draw of it, the resamples spread by as much."""
    truth = np.asarray(truth, dtype=float)
    random = np.random.default_rng(seed)
    shared, own = 0.8**0.5, 0.2**0.5  # images move all points of a grid together

    def deviations(n):
        common = random.normal(size=(n,) + (1,) * truth.ndim)
        return noise * (shared * common + own * random.normal(size=(n, *truth.shape)))

    mean = truth + deviations(1)[0]
    rows, columns = truth.shape if truth.ndim == 2 else (len(truth), 1)
    return SimpleNamespace(
        timesteps=tuple(range(0, 10 * rows, 10)),
        blocks=tuple(range(columns)),
        values=mean,
        draws=mean + deviations(draws),
    )


def settings(tmp_path, **changes):
    """What `profiles.parameters` gives a notebook."""
    given = {
        "profile": "scenes",
        "notebook": "20_probe_image_grid",
        "parameters": {"profile": "scenes", "blocks": [1, 2], "limit": None},
        "dataset": "scenes",
        "results": tmp_path / "scenes",
    }
    return SimpleNamespace(**given | changes)


@pytest.mark.parametrize("number", [5, 6])
@pytest.mark.parametrize("name", [name for names in SHAPES.values() for name in names])
def test_the_papers_own_tables(number, name):
    """Every claim about shape holds in the printed numbers, but for one pair on VG500."""
    modality = name.partition("_")[0]
    result = check(name, paper.grid(number, modality), table=number)
    # b = 8: 25.23 at t = 0, 25.24 at t = 10.
    exception = (number, name) == (6, "text_falls_with_timestep")
    assert result.status == ("differs" if exception else "reproduced")
    assert result.value == result.paper.value and result.interval is None


def test_what_the_paper_says_in_numbers():
    published = {claim.id: claims.published(claim, 5).value for claim in CLAIMS if claim.test}
    assert published["image_unimodal_in_timestep"] == 50 and published["image_unimodal_in_block"] == 12
    assert published["image_best_in_middle"] == pytest.approx(12 / 28)
    assert published["image_same_best_block"] == 1
    assert published["text_deterministic_beats_random"] == pytest.approx(0.0646)
    assert published["fusion_beats_image"] == pytest.approx(0.9857 - 0.6048)
    assert published["fusion_beats_text"] == pytest.approx(0.9857 - 0.9341)
    assert published["fusion_beats_concat"] is None and published["search_finds_best"] is None


PEAK = np.array([0, 4, 8, 8, 8, 4, 0.0])  # flat on top, so that noise orders its top at random
DIP = np.array([0, 8, 4, 8, 4, 2, 0.0])


@pytest.mark.parametrize(
    ("curve", "noise", "status"),
    [
        (PEAK, 0.5, "reproduced"),
        (DIP, 0.5, "differs"),
        (DIP, 8.0, "inconclusive"),  # the same dip, not to be told from noise
        (PEAK * 0, 0.5, "inconclusive"),  # nothing contradicts a flat curve, but nothing shows a peak
        (-PEAK, 0.5, "differs"),
        (np.arange(7) * 2.0, 0.5, "inconclusive"),  # rises to the end: a peak, but no fall to be seen
    ],
)
def test_one_peak_is_told_from_noise(curve, noise, status):
    over_timesteps = np.tile(curve[:, None], 4) + np.arange(4)
    found = [
        check("image_unimodal_in_timestep", measured(over_timesteps, noise=noise)),
        check("image_unimodal_in_block", measured(over_timesteps.T, noise=noise)),
    ]
    assert [result.status for result in found] == [status] * 2
    if status == "reproduced":
        low, high = found[0].interval
        assert low <= found[0].value <= high and 20 <= low and high <= 40


@pytest.mark.parametrize(
    ("curve", "noise", "status"),
    [
        ([8, 6, 6, 6, 2], 0.5, "reproduced"),
        ([8, 4, 7, 3, 2], 0.5, "differs"),
        ([8, 4, 7, 3, 2], 20.0, "inconclusive"),
        ([5, 5, 5, 5, 5], 0.5, "inconclusive"),
        ([2, 4, 6, 8, 10], 0.5, "differs"),
    ],
)
def test_a_fall_is_told_from_noise(curve, noise, status):
    falling = np.tile(np.array(curve, dtype=float)[:, None], 3)
    assert check("text_falls_with_timestep", measured(falling, noise=noise)).status == status
    assert check("text_rises_with_block", measured(falling.T[:, ::-1], noise=noise)).status == status


def test_curves_with_flat_stretches_are_seldom_refuted():
    """At most about one true claim in twenty is called wrong, whatever chance makes of equal points."""
    peak, fall = np.tile(PEAK[:, None], 5), np.tile(np.array([6, 6, 6, 6, 0.0])[:, None], 5)
    refuted = [
        check(name, measured(truth, noise=1.0, seed=seed, draws=200)).status == "differs"
        for seed in range(60)
        for name, truth in (("image_unimodal_in_timestep", peak), ("text_falls_with_timestep", fall))
    ]
    assert np.mean(refuted) < 0.08


def test_the_middle_of_the_model():
    profile = np.array([0, 1, 2, 3, 5, 8, 8, 5, 3, 2, 1, 0, 0.0])  # blocks 0 to 12, best at 5 and 6
    grid = np.tile(profile, (3, 1))
    middle = check("image_best_in_middle", measured(grid, noise=0.2), depth=12)
    assert middle.status == "reproduced" and 5 / 12 <= middle.value <= 6 / 12
    late = check("image_best_in_middle", measured(np.roll(grid, 4, axis=1), noise=0.2), depth=12)
    assert late.status == "differs" and late.value >= 9 / 12
    edge = check("image_best_in_middle", measured(np.roll(grid, 3, axis=1), noise=4.0), depth=12)
    assert edge.status == "inconclusive"
    nowhere = check("image_best_in_middle", measured(grid[:, 4:7]), depth=100)
    assert nowhere.status.startswith("not run (needs points inside and outside of")


def test_the_same_block_at_every_timestep():
    same = np.tile(PEAK, (4, 1))
    moving = np.stack([np.roll([0, 0, 8, 0, 0, 0, 0.0], shift) for shift in range(3)])
    assert check("image_same_best_block", measured(same, noise=0.3)).status == "reproduced"
    differs = check("image_same_best_block", measured(moving, noise=0.3))
    assert differs.status == "differs" and differs.value == pytest.approx(1 / 3)
    assert check("image_same_best_block", measured(moving, noise=30.0)).status == "inconclusive"


def exact(truth, noise=0.05):
    """A grid whose value is its truth, with draws that spread around it."""
    truth = np.asarray(truth, dtype=float)
    draws = truth + noise * np.random.default_rng(0).normal(size=(400, *truth.shape))
    rows, columns = truth.shape
    return SimpleNamespace(
        timesteps=tuple(range(0, 10 * rows, 10)), blocks=tuple(range(columns)), values=truth, draws=draws
    )


def against(name, truth, **options):
    """What contradicts a claim on this grid: the words, the number, and the interval around it."""
    found = check(name, exact(truth), **options)
    assert found.status == "differs"
    low, high = found.contradiction.interval
    assert low < found.contradiction.value < high
    # Of a difference of two numbers with a noise of 0.05 each, 95 % stay within 1.96 sqrt(2) of that.
    assert (high - low) / 2 == pytest.approx(1.96 * 2**0.5 * 0.05, rel=0.2)
    return found.contradiction.what, round(found.contradiction.value, 9)


def test_a_dip_is_named_with_the_lower_of_its_sides():
    """The number is how far the dip is below the nearer of the two higher points."""
    rows = [[1, 1, 1], [5, 9, 2], [3, 4, 3], [4, 7, 2], [0, 0, 0]]
    words = "block 1: t = 20 lies in a dip between t = 10 and t = 30"
    assert against("image_unimodal_in_timestep", rows) == (words, -3)
    words = "t = 20: block 1 lies in a dip between block 0 and block 2"
    assert against("image_unimodal_in_block", [[0, 5, 0], [0, 9, 0], [8, 2, 6]]) == (words, -4)


def test_a_turn_is_named_by_its_two_points():
    falling = [[9, 9], [5, 6], [7, 5], [1, 0]]
    words = "block 0: t = 20 lies above t = 10"
    assert against("text_falls_with_timestep", falling) == (words, 2)
    rising = [[1, 2, 3], [1, 6, 3]]
    assert against("text_rises_with_block", rising) == ("t = 10: block 1 lies above block 2", 3)
    far = [[9, 4, 5, 6]]  # the strongest is not between neighbours
    assert against("text_rises_with_block", far) == ("t = 0: block 0 lies above block 1", 5)


def test_the_best_outside_is_named_beside_the_best_inside():
    """Blocks 0 to 5 of a depth of 6: blocks 2, 3 and 4 lie in the middle third; each counts at its best."""
    rows = [[0, 1, 4, 2, 1, 3], [0, 2, 1, 5, 0, 9]]
    words = "block 5 lies above block 3, the best inside, each at its best"
    what, value = against("image_best_in_middle", rows, depth=6)
    assert (what, value) == (words, 4)


def test_the_candidate_that_does_best_over_all_is_named_with_what_beats_it():
    rows = [[0, 6, 9, 0], [0, 8, 7, 0], [0, 9, 8.5, 0]]
    # Block 2 is beaten by 1 at t = 10 at most, block 1 by 3 at t = 0.
    words = "t = 10: block 1 lies above block 2, which does best over all"
    assert against("image_same_best_block", rows) == (words, 1)


@pytest.mark.parametrize(
    ("name", "rows", "options"),
    [
        ("image_unimodal_in_timestep", [[1, 0], [9, 5], [2, 1]], {}),
        ("text_falls_with_timestep", [[9, 4], [5, 3], [1, 0]], {}),
        ("image_best_in_middle", [[0, 1, 5, 2, 1]], {"depth": 5}),
        ("image_same_best_block", [[1, 4, 2], [0, 9, 3]], {}),
    ],
)
def test_nothing_contradicts_a_claim_that_holds_everywhere(name, rows, options):
    found = check(name, exact(rows), **options)
    assert found.status == "reproduced" and found.contradiction is None and found.against == 0


def test_without_draws_a_contradiction_has_no_interval():
    found = check("text_falls_with_timestep", paper.grid(6, "text"), table=6)
    what, value, interval, _ = found.contradiction
    assert what == "block 8: t = 10 lies above t = 0" and value == pytest.approx(1e-4) and interval is None


def test_a_contradiction_survives_the_file_and_is_shown_where_it_decides(tmp_path):
    """A dip that noise may have made is kept in the file, and is not said to contradict anything."""
    dip = [[1, 1, 1], [5, 9, 2], [3, 4, 3], [4, 7, 2], [0, 0, 0]]
    differs = check("image_unimodal_in_timestep", exact(dip))
    doubtful = check("image_unimodal_in_block", exact([[0, 4, 3.9, 4], [0, 7, 8, 9]]))
    assert doubtful.status == "inconclusive" and doubtful.contradiction.value == pytest.approx(-0.1)
    page = results.record(settings(tmp_path), differs, doubtful)
    again = results.read(tmp_path / "scenes" / "20_probe_image_grid.json")
    assert again == page
    kept = again[differs.id].contradiction
    assert kept.what == differs.contradiction.what and kept.value == -3
    assert kept.interval == pytest.approx(differs.contradiction.interval, rel=1e-5)
    shown = tables.compare(again).frame["contradicted by"].tolist()
    assert shown[0].startswith("block 1: t = 20 lies in a dip between t = 10 and t = 30: -300.0 points (")
    assert shown[1] == "–"
    rows = tables.claims(tmp_path / "scenes").frame.set_index("claim")["contradicted by"]
    assert rows[differs.what] == shown[0] and rows[doubtful.what] == "–"


def test_a_number_that_differs_is_contradicted_by_the_difference(tmp_path):
    result = Result("best", 0.609, (0.607, 0.611), "best image feature", paper=paper.best(5, "image"))
    near = Result("near", 0.606, (0.604, 0.608), "best image feature", paper=paper.best(5, "image"))
    page = results.record(settings(tmp_path), result, near, dataset="coco")
    shown = tables.compare(page).frame["contradicted by"].tolist()
    assert shown == ["the difference, +0.4", "–"]


def test_ends_of_positions_are_positions():
    """Between two timesteps that are best in half of the draws each there is none that could be best."""
    rows = np.array([[1, 0], [8, 8.001], [1, 0], [1, 0], [8.001, 8], [1, 0]])
    for name, axis in (("image_unimodal_in_timestep", 0), ("image_unimodal_in_block", 1)):
        grid = exact(rows if axis == 0 else rows.T, noise=1.0)
        found = check(name, grid)
        places = (grid.timesteps, grid.blocks)[axis]
        assert found.value in places and found.interval == (places[1], places[4])
    grid = exact(rows.T, noise=1.0)
    middle = check("image_best_in_middle", grid, depth=6)
    assert set(middle.interval) <= {block / 6 for block in grid.blocks}
    same = check("image_same_best_block", grid)
    assert set(same.interval) <= {0.5, 1.0}


def test_where_the_best_point_lies_is_chosen_on_other_data():
    """A grid that says where val is best: positions are val's, comparisons are of test."""
    val_best = exact([[0, 9, 1], [0, 2, 1], [0, 1, 1]])
    val_best.choices = 7, np.full(400, 7)  # block 1 at t = 20, of 3 blocks
    found = check("image_unimodal_in_timestep", val_best)
    assert found.value == 20 and found.interval == (20, 20)
    assert check("image_unimodal_in_block", val_best).value == 1


def test_one_better_than_the_other():
    random = np.random.default_rng(0)
    images = random.normal(size=400)  # the same images are drawn for both

    def numbers(value):
        return value, value + 0.02 * images + 0.002 * random.normal(size=400)

    better = check("fusion_beats_text", numbers(0.60), numbers(0.58), seeds=(0, 1))
    assert better.status == "reproduced" and better.value == pytest.approx(0.02) and better.draws == 400
    assert 0.01 < better.interval[0] < 0.02 < better.interval[1] < 0.03 and better.seeds == (0, 1)
    assert check("fusion_beats_text", numbers(0.58), numbers(0.60)).status == "differs"
    assert check("fusion_beats_concat", numbers(0.600), numbers(0.601)).status == "inconclusive"
    grids = measured(np.full((4, 3), 0.5), noise=0.01), measured(np.full((4, 3), 0.4), noise=0.01)
    assert check("text_deterministic_beats_random", *grids).status == "reproduced"


def test_the_search_against_the_full_grid():
    truth = np.linspace(0, 1, 40)
    pairs = measured(truth, noise=0.02)
    given = pairs.values, pairs.draws
    best = check("search_finds_best", given, chosen=int(pairs.values.argmax()))
    assert best.status == "reproduced" and best.value == 0
    assert check("search_finds_best", given, chosen=38).status == "reproduced"  # as good, as far as is known
    worse = check("search_finds_best", given, chosen=20)
    assert worse.status == "differs" and worse.value == pytest.approx(0.49, abs=0.08)
    flat = measured(truth * 0, noise=0.02)
    assert check("search_finds_best", (flat.values, flat.draws), chosen=3).status == "inconclusive"


def test_what_cannot_be_checked_is_an_error():
    grid = measured(np.zeros((3, 3)))
    for name, given, message in [
        ("image_is_pretty", grid, "unknown claim 'image_is_pretty'; there are .*image_unimodal"),
        ("fusion_map_coco", grid, "is a number, not a trend; record Result..fusion_addition_score"),
        ("text_best_at_deepest", grid, "is judged from results that a page records: text_best_block, text_"),
        ("image_unimodal_in_block", (np.zeros((3, 3)), np.zeros((5, 3, 2))), "need draws"),
        ("image_unimodal_in_block", measured(np.full((3, 3), np.nan)), "not finite"),
    ]:
        with pytest.raises(ValueError, match=message):
            check(name, given)


@pytest.mark.parametrize(
    ("name", "shape", "options", "needs"),
    [
        ("image_unimodal_in_block", (3, 2), {}, "at least 3 points on a curve for a peak, got 2"),
        ("text_rises_with_block", (3, 1), {}, "at least 2 points on a curve for a trend"),
        ("image_best_in_middle", (3, 2), {"depth": 28}, "points inside and outside of"),
    ],
)
def test_a_grid_too_small_for_a_claim_is_still_a_page(tmp_path, name, shape, options, needs):
    result = check(name, measured(np.zeros(shape), noise=0.1), **options)
    page = results.record(settings(tmp_path), result)
    assert result.value is None and result.status.startswith(f"not run (needs {needs}")
    assert results.read(tmp_path / "scenes" / "20_probe_image_grid.json") == page
    assert list(tables.compare(page).frame["ours"]) == ["–"]


def page_results():
    """A claim, numbers with and without an interval or a paper's number, a count and a text."""
    return [
        check("image_unimodal_in_block", measured(np.tile(PEAK, (4, 1)), noise=0.3)),
        Result(
            "image_best_score", 0.44512345, (0.431, 0.459), "best image feature", paper=paper.best(5, "image")
        ),
        Result("images", np.int64(24_000), unit="count", metric="images"),
        Result("final_loss", 0.123456789, unit="", metric="loss"),
        Result("best_head", "addition", unit=""),
    ]


def test_a_page_survives_its_file(tmp_path):
    features = SimpleNamespace(provenance={"model": "dit-scenes", "blocks": [1, 2]})
    p = settings(tmp_path)
    page = results.record(p, *page_results(), cache=[features])
    path = tmp_path / "scenes" / "20_probe_image_grid.json"
    assert results.read(path) == page
    content = json.loads(path.read_text())
    assert list(content)[:4] == ["schema", "profile", "notebook", "dataset"]
    assert content["parameters"] == {"profile": "scenes", "blocks": [1, 2], "limit": None}
    assert content["cache"] == [results.cache_id(features)] and "torch" in content["versions"]
    stored = {result["id"]: result for result in content["results"]}
    assert stored["image_best_score"]["value"] == 0.445123 and stored["final_loss"]["value"] == 0.123457
    assert stored["image_best_score"]["paper"] == {
        "value": 0.6048,
        "rounding": 5e-5,
        "source": "Table 5",
        "dataset": "MS-COCO-enhanced",
    }
    assert str(tmp_path) not in path.read_text()
    assert content["run"]["seconds"] > 0 and content["run"]["peak_gb"] > 0.1
    results.record(p, *page_results(), cache=[features])
    again = json.loads(path.read_text())
    assert content.pop("run").keys() == again.pop("run").keys()
    assert again == content  # but for what it took, the same run gives the same file
    assert page["images"].value == 24_000
    with pytest.raises(KeyError, match="no result 'maps'; it has image_unimodal"):
        page["maps"]


def test_results_that_cannot_be_recorded_are_refused(tmp_path):
    for make, message in [
        (lambda: Result("best map", 1.0), "letters, digits and underscores"),
        (lambda: Result("best", float("nan")), "must be finite"),
        (lambda: Result("best", 0.5, (0.1, float("inf"))), "must be finite"),
        (lambda: Result("best", 0.5, paper=paper.best(5, "image")), "does not say what it is"),
        (lambda: results.record(settings(tmp_path)), "one or more results"),
        (lambda: results.record(settings(tmp_path), Result("a", 1), Result("a", 2)), r"each with its own id"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    foreign = tmp_path / "page.json"
    for content, message in [
        ("[", "is not a results file"),
        ("[1]", "is not a results file"),
        ("{}", "schema None"),
    ]:
        foreign.write_text(content)
        with pytest.raises(ValueError, match=message):
            results.read(foreign)


@pytest.mark.parametrize(
    ("dataset", "value", "interval", "status"),
    [
        ("scenes", 0.445, (0.43, 0.46), "other data"),
        ("coco", 0.606, (0.604, 0.608), "reproduced"),
        ("coco", 0.609, (0.607, 0.611), "differs"),
        ("coco", 0.60484, None, "reproduced"),  # as printed: 60.48
        ("coco", 0.6050, None, "differs"),
    ],
)
def test_a_number_is_held_against_the_papers_on_the_same_data_alone(
    tmp_path, dataset, value, interval, status
):
    result = Result("best", value, interval, "best image feature", paper=paper.best(5, "image"))
    page = results.record(settings(tmp_path), result, dataset=dataset)
    assert page["best"].status == status


def test_the_table_of_a_page(tmp_path):
    page = results.record(settings(tmp_path), *page_results())
    table = tables.compare(page)
    assert list(table.frame) == tables.COLUMNS and len(table.frame) == 2
    number = table.frame.iloc[1].to_dict()
    assert number == {
        "claim": "best image feature",
        "source": "Table 5",
        "dataset": "scenes (paper: MS-COCO-enhanced)",
        "metric": "mAP",
        "paper": "60.48%",
        "ours": "44.5%",
        "interval": "43.1 to 45.9",
        "contradicted by": "–",
        "status": "other data",
    }
    html = table._repr_html_()
    assert html.count("<tr>") == 3 and '<th scope="col">claim</th>' in html and "✓" in html
    assert "best image feature" in repr(table) and "0x" not in repr(table)


def test_the_claims_page_is_made_from_the_files(tmp_path):
    empty = tables.claims(tmp_path / "scenes")
    assert len(empty.frame) == len(CLAIMS) and empty.frame.status.str.startswith("not run (needs ").all()
    results.record(settings(tmp_path), *page_results())
    fused = Result(
        "fusion_addition_score", 0.98, (0.979, 0.981), "best fusion", paper=paper.best(5, "fusion")
    )
    results.record(settings(tmp_path, notebook="30_fusion"), fused)
    table = tables.claims(tmp_path / "scenes")
    rows = table.frame.set_index("claim")
    row = rows.loc["Images: at every timestep, mAP rises with the block to one peak and then falls"]
    assert row.status == "reproduced" and row["for / against"] == "100% / 0%" and row.paper == "12"
    headline = rows.loc["Fusion reaches 98.6% mAP on MS-COCO-enhanced"]
    assert headline.status.startswith("not run (needs MS-COCO")  # measured, but on other data
    assert f'<a href="20_probe_image_grid.html">{row.name}</a>' in table._repr_html_()
    assert [result.value for result in tables.counts(table)] == [1, 0, 0, len(CLAIMS) - 1]

    coco = settings(tmp_path, profile="coco", notebook="30_fusion", results=tmp_path / "coco")
    results.record(coco, fused, dataset="coco")
    headline = tables.claims(tmp_path / "coco").frame.set_index("claim").loc[headline.name]
    assert (headline.status, headline.paper, headline.ours) == ("differs", "98.6%", "98.0%")


def test_a_claim_has_one_owner(tmp_path):
    results.record(settings(tmp_path), *page_results())
    results.record(settings(tmp_path, notebook="22_again"), page_results()[0])
    with pytest.raises(ValueError, match="recorded by 20_probe_image_grid and 22_again: give one"):
        tables.claims(tmp_path / "scenes")


def test_a_run_is_held_against_the_stored_results(tmp_path):
    def run(name, **changes):
        altered = [SimpleNamespace(**vars(result)) for result in page_results()]
        for result in altered:
            vars(result).update(changes.get(result.id, {}))
        folder = tmp_path / name
        results.record(settings(tmp_path, results=folder), *(Result(**vars(result)) for result in altered))
        return folder

    stored = run("stored")
    assert differences(stored, run("same")) == []
    near = run("near", image_best_score={"value": 0.4572}, final_loss={"value": 0.12351})
    assert differences(stored, near) == []  # within the interval; within a thousandth
    far = run(
        "far",
        image_best_score={"value": 0.4601},
        final_loss={"value": 0.125},
        images={"value": 24_001},
        best_head={"value": "concat"},
        image_unimodal_in_block={"status": "differs"},
    )
    found = differences(stored, far)
    assert [(gap.id, gap.what) for gap in found] == [
        ("image_unimodal_in_block", "status"),
        ("image_best_score", "value"),
        ("images", "value"),
        ("final_loss", "value"),
        ("best_head", "value"),
    ]
    assert (
        str(found[1])
        == "20_probe_image_grid, image_best_score: value was 0.445123, is 0.4601 (tolerance 0.0141)"
    )
    results.record(settings(tmp_path, results=far, notebook="31_search"), Result("regret", 0.1))
    results.record(settings(tmp_path, results=stored), Result("regret", 0.1))
    missing = differences(stored, far)
    assert ("31_search", "page") in {(gap.page, gap.id) for gap in missing}
    assert {gap.id for gap in missing if gap.what == "the result"} >= {"regret", "images"}


def test_a_notebook_glues_what_it_measures(tmp_path):
    """Through a real kernel: prose cites the number, the number with its interval, and the status."""
    code = f"""
from pathlib import Path
from types import SimpleNamespace
from difffeat.evidence import results
from difffeat.show import tables
p = SimpleNamespace(profile="scenes", notebook="20_page", parameters={{}}, dataset="scenes",
                    results=Path({str(tmp_path)!r}))
page = results.record(p, results.Result("best_score", 0.44512, (0.431, 0.459), status="reproduced"))
"""
    cells = [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell("tables.compare(page)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, kernel_name="python3", timeout=120).execute()
    glued = {
        output.metadata.scrapbook.name: output.data["application/papermill.record/text/plain"]
        for output in notebook.cells[0].outputs
    }
    assert glued == {
        "best_score": "0.445",
        "best_score_text": "'44.5% (43.1 to 45.9)'",
        "best_score_of": "'mAP on scenes'",
        "best_score_status": "'reproduced'",
    }
    assert set(notebook.cells[1].outputs[0].data) == {"text/html", "text/plain"}
    assert (tmp_path / "20_page.json").is_file()
