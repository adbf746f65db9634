"""Tasks on tokens: segmentation, label-scarce, correspondence; metrics, resamples, choices and floors."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from difffeat.backbones.framing import frame
from difffeat.backbones.latents import FRAMINGS, square
from difffeat.features import extract, schedule
from difffeat.features.dense import IGNORED, Annotated, LabelMaps
from difffeat.features.points import Point
from difffeat.features.recipe import Recipe
from difffeat.probing import correspondence, object_pairs, pixel_heads, pixels, segmentation, tasks
from difffeat.probing.activations import Activations, label_maps, patches, standardised
from difffeat.probing.correspondence import Correspondence
from difffeat.probing.object_pairs import Pairs
from difffeat.probing.segmentation import Segmentation

RECIPE = Recipe(blocks=[1, 2], timesteps=[50], places=["out", "mlp"], pooling="none")
NAMES = ("background", "cat", "dog")
SIDE = 16  # pixels of the tiny model's square, of 4 x 4 tokens


@pytest.fixture
def splits(tmp_path):
    (tmp_path / "images").mkdir()
    return {
        part: tiny.split(count, folder=tmp_path / "images", name=part, first=1000 * place)
        for place, (part, count) in enumerate({"train": 12, "val": 7, "test": 9}.items())
    }


def mosaic(count, seed=0, classes=3):
    """Label maps (count, SIDE, SIDE) of squares as large as four tokens, and tokens that name their class."""
    random = np.random.default_rng(seed)
    coarse = random.integers(classes, size=(count, 2, 2))
    maps = coarse.repeat(8, axis=1).repeat(8, axis=2).astype(np.uint8)
    tokens = np.eye(classes, dtype=np.float32)[maps[:, 2::4, 2::4].reshape(count, 16)]
    return maps, tokens


def task_and_tokens(**how):
    """Segmentation of mosaics, with tokens {part: (N, T, D)} from which it can be told."""
    held = {part: mosaic(count, place) for place, (part, count) in enumerate(SIZES.items())}
    task = Segmentation({part: maps for part, (maps, _) in held.items()}, NAMES, **how)
    return task, {part: tokens for part, (_, tokens) in held.items()}


SIZES = {"train": 30, "val": 10, "test": 12}


def test_tokens_are_upsampled_between_their_middles():
    shares = pixels.upsampling(16, SIDE)
    assert shares.shape == (SIDE * SIDE, 16)
    np.testing.assert_allclose(shares.sum(dim=1), 1, atol=1e-6)
    assert shares[0].argmax() == 0 and shares[0].max() == 1  # a corner has one token alone
    middle = shares.reshape(SIDE, SIDE, 16)[1, 3].tolist()  # x = 3.5: 3/8 of a token right of the first's
    assert middle[0] == pytest.approx(0.625) and middle[1] == pytest.approx(0.375)
    values = torch.randn(2, 16, 5)
    by_hand = (shares @ values).mT.unflatten(2, (SIDE, SIDE))
    np.testing.assert_allclose(pixels.upsampled(values, SIDE), by_hand, atol=1e-5)
    np.testing.assert_allclose(pixels.upsampled(values, SIDE, 4), by_hand[:, :, ::4, ::4], atol=1e-5)
    with pytest.raises(ValueError, match="12 tokens make no square"):
        pixels.side_of(12)


def test_pixels_are_drawn_from_every_token_and_never_where_nothing_is_judged():
    maps, tokens = mosaic(5)
    maps[0] = IGNORED
    features, classes = pixels.sampled(tokens, maps, each=2)
    assert len(features) == len(classes) == 4 * 16 * 2
    whole = pixels.upsampling(16, SIDE).numpy() @ tokens[1]  # (S S, D)
    at_drawn = {tuple(row) for row in features[:32].round(4).tolist()}
    assert at_drawn <= {tuple(row) for row in whole.round(4).tolist()}
    inside = features.max(axis=1) == 1
    assert (features.argmax(axis=1) == classes)[inside].all() and inside.sum() > 20


def test_counts_and_their_mean_by_hand():
    true = np.array([[[0, 0], [1, IGNORED]], [[2, 2], [2, 0]]], np.uint8)
    said = np.array([[[0, 1], [1, 1]], [[2, 0], [2, 0]]], np.uint8)
    counts = pixels.counted(said, true, 4)
    assert counts[0].tolist() == [[1, 1, 0, 0], [1, 2, 0, 0], [2, 1, 0, 0]]
    assert counts[1].tolist() == [[1, 0, 2, 0], [2, 0, 2, 0], [1, 0, 3, 0]]
    expected = [2 / 4, 1 / 2, 2 / 3]  # right by said or true; nothing is of class 3, which is left out
    assert pixels.mean_iou(counts.sum(axis=0)) == pytest.approx(np.mean(expected))
    np.testing.assert_allclose(pixels.iou(counts), [*expected, np.nan])
    assert np.isnan(pixels.mean_iou(np.zeros((3, 4))))


def test_resamples_of_images_are_those_of_a_loop():
    random = np.random.default_rng(0)
    true = random.integers(3, size=(11, 6, 6)).astype(np.uint8)
    counts = pixels.counted(random.integers(3, size=true.shape).astype(np.uint8), true, 3)
    drawn = np.random.default_rng(4)
    by_hand = [pixels.mean_iou(counts[drawn.integers(11, size=11)].sum(axis=0)) for _ in range(7)]
    np.testing.assert_allclose(pixels.iou_draws(counts, draws=7, seed=4), by_hand)


@pytest.mark.parametrize("head", ["linear", "small"])
def test_what_tokens_say_is_read_and_what_they_do_not_say_is_not(head):
    task, tokens = task_and_tokens(head=head, steps=200)
    score = task.values("test", task.counts(tokens)["test"])["mIoU"]
    assert score > 0.9  # but for pixels between two classes
    random = np.random.default_rng(0)
    noise = {part: random.normal(size=held.shape).astype(np.float32) for part, held in tokens.items()}
    assert task.values("test", task.counts(noise)["test"])["mIoU"] < 0.4


def test_test_images_teach_nothing():
    task, tokens = task_and_tokens(steps=50)
    other = {part: maps if part == "train" else (maps + 1) % 3 for part, maps in task.maps.items()}
    shifted = Segmentation(other, NAMES, steps=50)
    found, moved = task.counts(tokens), shifted.counts(tokens)
    assert (found["shown"] == moved["shown"]).all()
    assert task.values("test", found["test"]) != task.values("test", moved["test"])


def test_a_linear_classifier_says_of_a_pixel_what_it_says_of_the_upsampled_token():
    task, tokens = task_and_tokens(steps=60)
    random = np.random.default_rng(1)
    tokens = {
        part: held + random.normal(0, 0.5, held.shape).astype(np.float32) for part, held in tokens.items()
    }
    features, classes = pixels.sampled(tokens["train"], task.maps["train"])
    classify = task._linear(features, classes)
    held = torch.from_numpy(tokens["test"][:3])
    at_pixels = (pixels.upsampling(16, SIDE) @ held).unsqueeze(2).flatten(0, 1)  # each pixel as one token
    by_pixel = classify(at_pixels, 1, 1).reshape(3, SIDE, SIDE)
    assert (classify(held, SIDE, 1) == by_pixel).float().mean() > 0.999


def test_only_the_rows_that_are_labelled_are_trained_on():
    task, tokens = task_and_tokens(steps=30, rows=(3, 5, 8))
    other = {part: maps.copy() for part, maps in task.maps.items()}
    other["train"][[0, 1, 2]] = 0  # none of the labelled
    same = Segmentation(other, NAMES, steps=30, rows=(3, 5, 8)).counts(tokens)
    assert (task.counts(tokens)["test"] == same["test"]).all()
    other["train"][5] = (other["train"][5] + 1) % 3
    assert (
        task.counts(tokens)["test"]
        != Segmentation(other, NAMES, steps=30, rows=(3, 5, 8)).counts(tokens)["test"]
    ).any()


def test_several_heads_vote_and_normalisation_is_folded_into_them():
    task, tokens = task_and_tokens()
    features, classes = pixels.sampled(tokens["train"], task.maps["train"])
    scaled = 40 * features + 7  # the heads standardise what they are given
    generator = torch.Generator().manual_seed(0)
    layers = pixel_heads._first(3, 3, 2, generator)
    data = torch.from_numpy(features)
    x = layers[0](data.expand(2, *data.shape))
    for layer in layers[1:]:
        x = layer(pixel_heads._normalised(x.relu())[0])
    folded = pixel_heads._folded(layers, data)
    y = folded[0](data.expand(2, *data.shape))
    for layer in folded[1:]:
        y = layer(y.relu())
    np.testing.assert_allclose(x.detach(), y, atol=1e-4)
    how = dict(steps=80, members=3, seed=1)
    plain, stretched = (
        pixel_heads.fit(given, classes, 3, **how)(torch.from_numpy(tokens["test"]) * a + b, SIDE, 1)
        for given, a, b in ((features, 1, 0), (scaled, 40, 7))
    )
    assert (plain == stretched).float().mean() > 0.99


def test_few_images_show_as_many_classes_as_they_can():
    random = np.random.default_rng(0)
    labels = (random.random((60, 8)) < [0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02]).astype(np.uint8)
    rows = segmentation.few(labels, 6, seed=1)
    assert len(set(rows.tolist())) == 6 and (np.diff(rows) > 0).all()
    assert (labels[rows].any(axis=0) == labels.any(axis=0)).all()
    drawn_blindly = labels[np.random.default_rng(1).permutation(60)[:6]].any(axis=0).sum()
    assert drawn_blindly < labels[rows].any(axis=0).sum()
    assert segmentation.few(labels, 6, seed=2).tolist() != rows.tolist()
    with pytest.raises(ValueError, match="61 images were asked for, of 60"):
        segmentation.few(labels, 61)


def test_scarce_splits_hold_no_image_that_no_choice_labels(splits):
    fewer, rows = segmentation.scarce(splits, 4, [0, 1])
    train = splits["train"]
    for seed, chosen in zip((0, 1), rows, strict=True):
        expected = train.ids[segmentation.few(train.labels, 4, seed)]
        assert fewer["train"].ids[list(chosen)].tolist() == expected.tolist()
    assert len(fewer["train"]) == len({row for chosen in rows for row in chosen})
    assert fewer["test"] is splits["test"]


def test_tokens_in_memory_are_those_that_a_cache_would_hold(splits, tmp_path):
    model = tiny.dit()
    kept = extract.features(splits["val"], model, RECIPE, root=tmp_path / "cache")
    held = extract.in_memory(splits["val"], model, RECIPE)
    for point in kept.points:
        np.testing.assert_array_equal(held[point].astype(np.float32), kept.read(point))


def test_tokens_side_by_side_are_each_standardised_by_train(splits):
    found = Activations(splits, tiny.dit(), RECIPE)
    one, two = Point(50, 1), Point(50, 2, "mlp")
    both = found.read(one, two)
    width = found.read(one)["train"].shape[2]
    np.testing.assert_allclose(both["train"].mean(axis=(0, 1)), 0, atol=1e-3)
    np.testing.assert_allclose(both["train"].std(axis=(0, 1)), 1, atol=1e-2)
    scaled = standardised(found.read(two))
    np.testing.assert_array_equal(both["test"][:, :, width:], scaled["test"])
    with pytest.raises(ValueError, match="pooling is 'mean', not 'none'"):
        Activations(splits, tiny.dit(), Recipe([1], [0]))


def test_coarser_tokens_are_upsampled_to_stand_beside_finer_ones(splits):
    unet = tiny.unet()
    coarse, fine = (next(p for p in unet.places if p.startswith(at)) for at in ("mid", "down-level0"))
    found = Activations(splits, unet, replace(RECIPE, blocks=[0], places=[coarse, fine]))
    both = found.read(Point(50, 0, coarse), Point(50, 0, fine))["test"]
    apart = [standardised(found.read(Point(50, 0, place)))["test"] for place in (coarse, fine)]
    count, width = apart[1].shape[1], apart[0].shape[2]
    assert apart[0].shape[1] < count == both.shape[1] == patches(splits, unet)["test"].shape[1]
    enlarged = pixels.upsampled(torch.from_numpy(apart[0]), pixels.side_of(count)).flatten(2).mT
    np.testing.assert_allclose(both[:, :, :width], enlarged, atol=1e-5)
    np.testing.assert_array_equal(both[:, :, width:], apart[1])


def test_pixels_and_position_know_no_model(splits):
    found = patches(splits, tiny.dit())
    image = np.asarray(splits["test"].image(2), np.float32) / 255
    np.testing.assert_allclose(found["test"][2, 6, :-5], image[4:8, 8:12].ravel())  # second row, third column
    assert found["test"][2, 6, -5:].tolist() == pytest.approx(
        [0.625, 0.375, 0.625**2, 0.375**2, 0.625 * 0.375]
    )


@pytest.fixture
def measured(splits, tmp_path):
    model = tiny.dit()
    maps = {part: LabelMaps(NAMES, made_up) for part in splits}
    task = Segmentation(label_maps(splits, maps, model), NAMES, steps=20)
    return task, Activations(splits, model, RECIPE), tmp_path / "cache" / "features"


def made_up(sample):
    return mosaic(1, sample)[0][0]


def test_a_grid_has_every_point_chosen_on_val_and_is_remembered(measured, monkeypatch):
    task, found, root = measured
    grid = tasks.measure([task], found, root=root, resamples=15)
    assert grid.metric == "mIoU" and grid.points == found.points and grid.values.shape == (1, 4)
    for place, point in enumerate(grid.points):
        counts = task.counts(found.read(point))
        assert grid.values[0, place] == task.values("test", counts["test"])["mIoU"]
        assert grid.val[0, 0, place] == task.values("val", counts["val"])["mIoU"]
        drawn = task.draws("test", counts["test"], draws=15, seed=0)["mIoU"]
        np.testing.assert_allclose(np.diff(grid.draws[:, 0, place]), np.diff(drawn))
        assert grid.draws[:, 0, place].mean() == pytest.approx(grid.values[0, place])
    assert grid.best == grid.points[int(grid.val.argmax())]
    assert tasks.best(grid, 1) == [grid.best]
    assert {point.place for point in tasks.best(grid, 4, ["out"])} == {"out"}
    monkeypatch.setattr(extract, "in_memory", lambda *_: pytest.fail("tokens were read again"))
    again = tasks.measure([task], Activations(found.splits, found.backbone, RECIPE), root=root, resamples=15)
    np.testing.assert_array_equal(again.draws, grid.draws)


def test_a_comparison_holds_what_stands_beside_inside(measured):
    task, found, root = measured
    untrained = Activations(found.splits, tiny.dit(seed=1), Recipe([1, 2], [50], pooling="none"))
    both = tasks.compare([task], found, untrained, together=2, root=root, resamples=15)
    assert set(both.inside.places) == {"mlp"} and both.outputs.places == ("out",)
    assert both.points == tuple(tasks.best(both.grid, 2))
    assert {point.place for point in both.output_points} == {"out"}
    counts = task.counts(found.read(*both.points))
    assert both.combined.measured.value == task.values("test", counts["test"])["mIoU"]
    assert [floor.name for floor in both.floors] == ["pixels and position", "untrained copy"]
    alone = tasks.measure([task], untrained, resamples=15)
    assert both.floors[1].value == alone.at_best.value
    gain = both.gains["inside_less_outputs"]
    assert gain.value == both.inside.at_best.value - both.outputs.at_best.value
    np.testing.assert_allclose(gain.draws, both.inside.at_best.draws - both.outputs.at_best.draws)


def test_seeds_are_averaged_over(measured):
    task, found, _ = measured
    several = [Segmentation(task.maps, NAMES, steps=20, seed=seed) for seed in (0, 1)]
    grid = tasks.measure(several, found, resamples=15)
    alone = [tasks.measure([one], found, resamples=15) for one in several]
    np.testing.assert_allclose(grid.values, (alone[0].values + alone[1].values) / 2)
    at = tasks.at(several, found, [Point(50, 1)], resamples=15)
    assert at.measured.value == pytest.approx(grid.at(50, 1).value)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", [(16, 16), (40, 24), (23, 61), (130, 90)], ids=str)
def test_label_maps_and_points_follow_the_picture_into_its_square(framing, size):
    """Quarters of four colours: what the square shows of each is what the label map says there."""
    width, height = size
    labels = np.zeros((height, width), np.uint8)
    labels[:, width // 2 :] += 1
    labels[height // 2 :] += 2
    colours = np.array([[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250]], np.uint8)
    seen = np.asarray(square(Image.fromarray(colours[labels]), 16, framing), int)
    nearest = np.abs(seen[:, :, None] - colours.astype(int)).sum(axis=3).argmin(axis=2)
    of = frame(width, height, 16, framing)
    assert (of.labels(labels) == nearest).mean() > 0.88  # but for the line where two meet
    x, y = of.points(np.array([[width // 2, height // 2]]))[0]
    edges = np.argmax(nearest[2] != nearest[2, 0]), np.argmax(nearest[:, 2] != nearest[0, 2])
    assert abs(x - edges[0]) <= 1.01 and abs(y - edges[1]) <= 1.01


def test_an_unknown_framing_is_refused():
    with pytest.raises(ValueError, match="framing 'square' is unknown"):
        frame(10, 10, 5, "square")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), "label map of sample 3"),
        (np.zeros((4, 4), int), "label map of sample 3"),
        (np.full((4, 4), 7, np.uint8), "has class 7; there are 3"),
    ],
    ids=["colours", "wide integers", "a class too many"],
)
def test_a_label_map_that_is_none_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        LabelMaps(NAMES, lambda _: given).read(3)
    assert LabelMaps(NAMES, lambda _: np.full((2, 2), IGNORED, np.uint8)).read(3).shape == (2, 2)


def shifted(count=6, seed=0, width=32):
    """Tokens (count, 16, D) of one picture that is moved around by whole tokens, and pairs of these."""
    random = np.random.default_rng(seed)
    first = random.normal(size=(4, 4, width)).astype(np.float32)
    moves = random.integers(4, size=(count, 2))
    tokens = np.stack([np.roll(first, move, axis=(0, 1)).reshape(16, width) for move in moves])
    images = np.array([(a, b) for a in range(count) for b in range(count) if a != b])
    corner = random.integers(4, size=(len(images), 3, 2))  # of three keypoints each, row and column
    ends = [(corner + moves[images[:, [end]]]) % 4 * 4 + 2 for end in (0, 1)]
    source, target = (end[..., ::-1].reshape(-1, 2).astype(float) for end in ends)
    pair = np.arange(len(images)).repeat(3)
    names = ("a", "b", "c") * len(images)
    return tokens, Pairs(
        images, ("cat",) * len(images), np.full(len(images), 10.0), pair, names, source, target
    )


def test_the_same_part_is_found_where_it_has_moved():
    tokens, pairs = shifted()
    found = correspondence.matches(tokens, pairs, SIDE)
    assert np.abs(found - pairs.target).max() <= 1.5  # near the middle of its token
    by_hand = pixels.upsampling(16, SIDE) @ torch.from_numpy(tokens)  # (N, S S, D)
    by_hand = torch.nn.functional.normalize(by_hand, dim=2)
    for one in (0, 7, 20):
        a, b = pairs.images[pairs.pair[one]]
        x, y = pairs.source[one].astype(int)
        best = int((by_hand[b] @ by_hand[a, y * SIDE + x]).argmax())
        assert found[one].tolist() == [best % SIDE + 0.5, best // SIDE + 0.5]


def test_pck_counts_what_lies_within_a_share_of_the_longer_side():
    tokens, pairs = shifted()
    task = Correspondence({"val": pairs, "test": pairs}, SIDE, scale="none")
    off = np.array([0.04, 0.06, 0.1, 0.11, 0.149, 0.2] * 15)[: len(pairs.pair)]
    values = task.values("test", off)
    assert values["PCK@0.05"] == pytest.approx(1 / 6) and values["PCK@0.1"] == pytest.approx(3 / 6)
    assert values["PCK@0.15"] == pytest.approx(5 / 6)
    assert task.metrics[0] == "PCK@0.1"
    counts = task.counts({part: tokens for part in ("train", "val", "test")})
    expected = np.linalg.norm(counts["found"] - pairs.target, axis=1) / 10
    np.testing.assert_allclose(counts["test"], expected, rtol=1e-5)


def test_a_pair_is_drawn_as_often_as_both_of_its_images():
    _, pairs = shifted(4)
    task = Correspondence({"val": pairs, "test": pairs}, SIDE)
    off = np.random.default_rng(0).random(len(pairs.pair)) * 0.2
    draws = task.draws("test", off, draws=9, seed=3)["PCK@0.1"]
    random = np.random.default_rng(3)
    for value in draws:
        times = Counter(random.integers(4, size=4).tolist())
        weight = np.array([times[a] * times[b] for a, b in pairs.images])[pairs.pair]
        if weight.sum():
            assert value == pytest.approx(np.average(off <= 0.1, weights=weight))
        else:
            assert np.isnan(value)


def test_a_projection_learns_which_numbers_tell_parts_apart():
    tokens, pairs = shifted(8, width=8)
    pairs = replace(pairs, reach=np.full(len(pairs), 40.0))
    noise = 2 * np.random.default_rng(1).normal(size=(*tokens.shape[:2], 12)).astype(np.float32)
    given = {part: np.concatenate([tokens, noise], axis=2) for part in ("train", "val", "test")}
    held = {part: pairs for part in given}
    plain, learned = (Correspondence(held, SIDE, width=width, steps=150) for width in (0, 8))
    scores = [task.values("test", task.counts(given)["test"])["PCK@0.1"] for task in (plain, learned)]
    assert scores[1] > 0.9 > 0.8 > scores[0]


def objects_of(*rows):
    return [Annotated(image, category, (0, 0, 8, 4), dict(points)) for image, category, points in rows]


def test_pairs_are_of_one_category_in_two_images_and_have_one_right_place():
    eye, tail = ("eye", (3, 3)), ("tail", (9, 9))
    objects = objects_of(
        (1, "cat", [eye]), (2, "cat", [eye, tail]), (2, "dog", [eye]),
        (3, "cat", [eye]), (3, "cat", [eye]), (4, "cat", [tail]), (5, "cat", []),
    )  # fmt: skip
    chosen = object_pairs.drawn(objects, each=10)
    assert sorted(chosen) == [(0, 1), (1, 0), (1, 5), (3, 0), (3, 1), (4, 0), (4, 1), (5, 1)]
    assert len(object_pairs.drawn(objects, each=1)) == 5
    assert len({tuple(object_pairs.drawn(objects, each=1, seed=seed)) for seed in range(6)}) > 1


def test_framed_pairs_are_in_pixels_of_the_square_and_of_the_split(splits):
    model, test = tiny.dit(), splits["test"]
    a, b = test.ids[:2].tolist()
    points = [("eye", (3, 3)), ("tail", (9, 20)), ("nose", (1, 2))]  # the tail lies below the picture
    objects = objects_of((a, "cat", points), (b, "cat", points[:2]), (999, "cat", points))
    pairs = object_pairs.framed(objects, [(0, 1), (1, 0), (0, 2)], test, model)
    assert pairs.images.tolist() == [[0, 1], [1, 0]] and pairs.names == ("eye", "eye")
    assert pairs.reach.tolist() == [8, 8] and pairs.source.tolist() == [[3, 3], [3, 3]]
    assert object_pairs.examples(pairs, 3) == [0]
    with pytest.raises(ValueError, match="test has no two objects of a category with a keypoint in common"):
        Correspondence({"test": object_pairs.framed(objects, [], test, model)}, SIDE)


def test_random_noise_is_that_of_the_features(splits):
    """The tokens of a task are read at the very noise that pooled features of these images are made with."""
    model, split = tiny.dit(), splits["val"]
    z = model.latents([split.image(row) for row in range(len(split))]).z
    noise = schedule.noise(0, split.ids, z.shape[1:])
    z = schedule.noised(z, 50, "random", model.schedule, noise)
    held = extract.in_memory(split, model, RECIPE)
    np.testing.assert_allclose(held[Point(50, 2)], model.states(z, 50, [2])[2], rtol=2e-3, atol=2e-3)
