"""Indices of clusters are scikit-learn's, their draws spread as samples do, and claims on them follow."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as reference

from difffeat.evidence import claims, tightness
from difffeat.evidence.claims import check
from difffeat.probing import clusters, label_sets
from difffeat.show import clusters as figures

GROUPS = np.repeat([0, 1, 2], [30, 20, 14])
SCIKIT = {
    "DBI": reference.davies_bouldin_score,
    "CHI": reference.calinski_harabasz_score,
    "silhouette": reference.silhouette_score,
}


def points(apart, seed=0, width=8):
    """Groups whose centres lie so far apart, in units of their spread."""
    random, centres = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(3, width))
    return random.normal(size=(len(GROUPS), width)) + apart * centres[GROUPS]


@pytest.mark.parametrize("apart", [0, 1, 5])
def test_indices_are_those_of_scikit_learn(apart):
    given, half = points(apart), clusters.halves(GROUPS, 3)
    found = clusters.indices(given, GROUPS, np.vstack([np.ones(len(GROUPS)), half]))
    for name, index in SCIKIT.items():
        assert found[name][0] == pytest.approx(index(given, GROUPS))
        kept = half[1] > 0
        assert found[name][2] == pytest.approx(index(given[kept], GROUPS[kept]))


def test_points_in_one_place_have_no_tightness():
    found = clusters.indices(np.ones((len(GROUPS), 2)), GROUPS, np.ones((1, len(GROUPS))))
    assert {name: values[0] for name, values in found.items()} == {"DBI": 0, "CHI": 1, "silhouette": 0}


def test_halves_take_half_of_each_group():
    half = clusters.halves(GROUPS, 50)
    assert {tuple(row @ np.eye(3)[GROUPS]) for row in half} == {(15, 10, 7)}
    assert len({row.tobytes() for row in half}) == 50
    assert (clusters.halves(GROUPS, 50) == half).all() and (clusters.halves(GROUPS, 50, seed=1) != half).any()


def test_draws_spread_as_new_samples_do():
    random = np.random.default_rng(1)
    centres = random.normal(size=(3, 8))

    def fresh():
        return random.normal(size=(len(GROUPS), 8)) + centres[GROUPS]

    whole = np.ones((1, len(GROUPS)))
    new = [clusters.indices(fresh(), GROUPS, whole) for _ in range(200)]
    drawn = [clusters.tightness([fresh()], GROUPS) for _ in range(20)]
    for name in clusters.INDICES:
        spread = np.std([one[name] for one in new])
        assert np.mean([one[name].draws.std() for one in drawn]) == pytest.approx(spread, rel=0.35)
        assert np.mean(drawn[0][name].draws) == pytest.approx(drawn[0][name].value, rel=0.02)


def test_seeds_of_the_plane_widen_the_interval():
    same, other = ([points(far) for far in spread] for spread in ((1, 1, 1), (0.6, 1, 1.6)))
    narrow, wide = (clusters.tightness(planes, GROUPS)["silhouette"] for planes in (same, other))
    assert narrow.value == pytest.approx(clusters.tightness(same[:1], GROUPS)["silhouette"].value)
    assert wide.draws.std() > narrow.draws.std()
    by_seed = clusters.over_seeds(other, GROUPS)["silhouette"]
    assert by_seed.mean() == pytest.approx(wide.value) and np.ptp(by_seed) > 0.01


def tight(**apart):
    return {
        name: clusters.tightness([points(far, seed)], GROUPS)
        for seed, (name, far) in enumerate(apart.items())
    }


@pytest.mark.parametrize(
    ("apart", "status"),
    [
        (dict(fused=5, image=0.5, text=0.5), "reproduced"),
        (dict(fused=0.5, image=5, text=0.2), "differs"),
        (dict(fused=1.0, image=0.1, text=1.0), "inconclusive"),
    ],
)
def test_fused_features_against_each_modality(apart, status):
    found = tight(**apart)
    for index in clusters.INDICES:
        for space in ("plane", "features"):
            result = check(f"clusters_{index.lower()}_{space}", *(one[index] for one in found.values()))
            assert result.status == status, (index, space)


def test_the_papers_own_table():
    published = {
        claim.id: claims.published(claim).value for claim in claims.CLAIMS if claim.part == "Clusters"
    }
    assert published["clusters_dbi_plane"] == pytest.approx(3.18 / 1.33)
    assert published["clusters_chi_plane"] == pytest.approx(602.78 / 123.46)
    assert published["clusters_silhouette_plane"] == pytest.approx(0.31 - 0.039)
    assert published["clusters_dbi_features"] is None


def test_too_few_samples_are_no_clusters():
    for groups in (np.zeros(30, int), np.repeat([0, 1], [20, 3]), np.empty(0, int)):
        assert not clusters.enough(groups)
        found = clusters.tightness([], groups)
        given = [found["DBI"]] * 3
        assert check("clusters_dbi_plane", *given).status == (
            "not run (needs two label sets with enough samples)"
        )
        assert figures.indices({"fused": found}).frame.empty
        assert (
            tightness.agreement({"fused": found}, "here")
            == ""
            == tightness.against({"fused": found}, "fused", [])
        )
        assert tightness.results({"fused": found}, "plane", "here") == []


def test_planes_keep_groups_apart_and_are_the_same_again():
    features = {"a": points(5), "b": points(5), "c": points(0)}
    found = clusters.planes(features, [0, 1], steps=250)
    assert [len(planes) for planes in found.values()] == [2, 2, 2] and found["a"][0].shape == (64, 2)
    assert found["a"] is not found["b"] and (found["a"][0] == found["b"][0]).all()
    assert (found["a"][0] != found["a"][1]).any()
    assert (clusters.planes({"a": features["a"]}, [0], steps=250)["a"][0] == found["a"][0]).all()
    silhouettes = {name: clusters.over_seeds(planes, GROUPS)["silhouette"] for name, planes in found.items()}
    assert silhouettes["a"].min() > silhouettes["c"].max()


LABELS = np.repeat([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 1]], [6, 9, 9, 20, 2], axis=0)


def test_label_sets_by_frequency_or_by_name():
    names = ("person", "tie", "clock")
    found = label_sets.chosen(LABELS, names, count=2, least=5)
    assert {name: rows.tolist() for name, rows in found.items()} == {
        "clock": list(range(15, 24)),
        "person, tie": list(range(6, 15)),
    }
    assert list(label_sets.chosen(LABELS, names, least=2)) == ["clock", "person, tie", "person", "tie, clock"]
    named = label_sets.chosen(LABELS, names, [["tie", "person"], ["clock", "tie"]], least=5)
    assert list(named) == ["person, tie"], "of the other there are too few"
    rows, groups = clusters.grouped(found)
    assert rows.tolist() == [*range(15, 24), *range(6, 15)] and groups.tolist() == [0] * 9 + [1] * 9
    assert all(len(part) == 0 for part in clusters.grouped({}))
    with pytest.raises(ValueError, match="label sets are given twice"):
        label_sets.chosen(LABELS, names, [["tie", "person"], ["person", "tie"]])


def test_what_is_said_of_clusters():
    found = tight(fused=5, image=0.5, text=0.5)
    assert tightness.agreement(found, "on the plane") == (
        "On the plane the three indices name the same features as the tightest: fused."
    )
    mixed = found | {"text": found["text"] | {"CHI": found["fused"]["CHI"], "DBI": found["fused"]["DBI"]}}
    mixed["fused"] = mixed["fused"] | {"CHI": found["text"]["CHI"]}
    assert "do not agree" in tightness.agreement(mixed, "here") and "CHI names text" in tightness.agreement(
        mixed, "here"
    )
    said = tightness.against(found, "fused", ["image"])
    assert "is tighter than image (" in said
    assert "is looser than fused (" in tightness.against(found, "image", ["fused"])
    assert "not told apart from image (" in tightness.against(found, "image", ["image"])


def test_whether_the_seed_decides():
    seeds = {name: clusters.over_seeds([points(far, seed) for seed in range(3)], GROUPS) for name, far in
             (("fused", 5), ("image", 0.5))}  # fmt: skip
    said = tightness.by_seed(seeds, ("fused", "image"), "here")
    assert said.endswith("Whether fused is the tightest of 2: no seed decides, by any of the indices.")
    assert "DBI of image from" in said
    seeds["image"]["DBI"] = seeds["fused"]["DBI"] + [1, -0.1, 1]
    assert "the seed decides by DBI." in tightness.by_seed(seeds, ("fused", "image"), "here")
    one = {name: {index: values[:1] for index, values in found.items()} for name, found in seeds.items()}
    assert tightness.by_seed(one, ("fused", "image"), "here") == ""


def test_results_and_tables_of_indices():
    found = tight(fused=5, image=0.5, text=0.5)
    results = tightness.results(
        found | {"text, projected": found["text"]}, "plane", "on the plane", printed=True
    )
    assert {result.id: result.paper and result.paper.value for result in results} | {
        "plane_fused_dbi": 1.33,
        "plane_image_chi": 123.46,
        "plane_text_projected_silhouette": None,
    } == {result.id: result.paper and result.paper.value for result in results}
    assert {result.id for result in results} >= {"plane_fused_dbi", "plane_text_projected_silhouette"}
    frame = figures.indices(found, printed=True).frame
    assert frame["DBI, paper"].tolist() == ["1.33", "3.18", "5.93"]
    assert [text.endswith("*") for text in frame["silhouette"]] == [True, False, False]


def test_the_figure_of_planes():
    found, planes = tight(image=0.5, fused=5), {"image": points(0.5)[:, :2], "fused": points(5)[:, :2]}
    figure = figures.planes(planes, GROUPS, ["cat", "dog", "cow, cat"], found)
    with Image.open(io.BytesIO(figure.png)) as image:
        assert image.width == 1040
    assert figure.alt.startswith("t-SNE planes of 64 samples of 3 label sets. image: DBI ")
    assert figure.table.frame["samples"].tolist() == ["30", "20", "14"]
    assert figures.planes(planes, GROUPS, ["cat", "dog", "cow, cat"], found).png == figure.png
