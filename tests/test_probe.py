"""Probes trained together, one after another, and by a plain torch loop must be the same probes."""

from itertools import islice

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from difffeat.probing import descent, probe
from difffeat.probing.estimator import LinearProbe
from difffeat.probing.probe import fit_grid

SHORT = dict(epochs=4, batch_size=32)


@pytest.fixture
def data():
    """Features (P, N, D) of very different scales, labels (N, K) and classes (N,); N is no multiple of 32."""
    generator = np.random.default_rng(0)
    latent = generator.normal(size=(150, 4))
    features = latent @ generator.normal(size=(5, 4, 16)) + generator.normal(size=(5, 150, 16))
    features = features * generator.lognormal(sigma=2, size=(5, 1, 16)) + 10 * generator.normal(
        size=(5, 1, 16)
    )
    return features.astype(np.float32), (latent > 0.8).astype(np.uint8), latent.argmax(axis=1)


def batches(n, batch_size, generator):
    """Rows of one batch after another, the samples in a new order in each epoch, without end."""
    while True:
        yield from torch.randperm(n, generator=generator).split(batch_size)


def plain(features, labels, loss, *, steps, batch_size, lr=1e-3, weight_decay=0.0, seed=0):
    """One probe as a script would train it: nn.Linear, autograd, Adam, CosineAnnealingLR."""
    x = torch.from_numpy(features)
    target = torch.from_numpy(labels).float() if loss == "bce" else torch.from_numpy(labels)
    linear = torch.nn.Linear(x.shape[1], labels.shape[1] if loss == "bce" else labels.max() + 1)
    generator = torch.Generator().manual_seed(seed)
    weight, bias = descent.first_linear(x.shape[1], linear.out_features, generator)
    linear.load_state_dict({"weight": weight, "bias": bias[:, 0]})
    adam = torch.optim.Adam(linear.parameters(), lr=lr, weight_decay=weight_decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    criterion = binary_cross_entropy_with_logits if loss == "bce" else cross_entropy
    for rows in islice(batches(len(x), batch_size, generator), steps):
        adam.zero_grad()
        criterion(linear(x[rows]), target[rows]).backward()
        adam.step()
        cosine.step()
    logits = linear(x).detach()
    return (torch.sigmoid(logits) if loss == "bce" else torch.softmax(logits, dim=1)).numpy()


@pytest.mark.parametrize("loss", ["bce", "ce"])
def test_grid_equals_a_plain_torch_loop(data, loss):
    features, labels, classes = data
    features = np.stack([StandardScaler().fit_transform(point) for point in features]).astype(np.float32)
    target = labels if loss == "bce" else classes
    protocol = dict(steps=200, batch_size=32)  # 40 epochs of 5 batches
    together = fit_grid(features, target, loss=loss, scale="none", **protocol).scores(features)
    for point in range(5):
        expected = plain(features[point], target, loss, **protocol)
        np.testing.assert_allclose(together[point], expected, atol=1e-6)
    scaled = fit_grid(data[0], target, loss=loss, **protocol).scores(data[0])
    np.testing.assert_allclose(scaled, together, atol=1e-4)  # one is scaled in float32, one in float64


@pytest.mark.parametrize("loss", ["bce", "ce"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.03])
@pytest.mark.parametrize("steps", [1, 3, 7, 23])
def test_any_number_of_steps_and_a_weight_decay_equal_a_plain_torch_loop(data, loss, weight_decay, steps):
    """An epoch is 5 batches of 32, the last of them short: the cosine ends, and Adam stops, within an epoch.
    The bias decays as the weights do."""
    features, labels, classes = data
    point = StandardScaler().fit_transform(features[0]).astype(np.float32)
    target = labels if loss == "bce" else classes
    protocol = dict(steps=steps, batch_size=32, lr=0.05, weight_decay=weight_decay)
    ours = fit_grid(point[None], target, loss=loss, scale="none", **protocol).scores(point[None])[0]
    np.testing.assert_allclose(ours, plain(point, target, loss, **protocol), atol=2e-6)


def test_weight_decay_shrinks_weights_and_bias(data):
    features, labels, _ = data
    rare = labels * (np.arange(len(labels)) % 5 == 0)[:, None]  # a bias far from 0
    long = dict(steps=600, lr=0.05, batch_size=150)
    free, held = (fit_grid(features[:1], rare, weight_decay=decay, **long) for decay in (0.0, 0.05))
    assert held.weight.norm() < 0.5 * free.weight.norm() and held.bias.norm() < 0.5 * free.bias.norm()


def test_steps_and_epochs_say_the_same(data):
    """40 epochs of the paper's data are its 25,880 steps; here an epoch is 5 steps, the last batch short."""
    features, labels, _ = data
    assert (
        probe.steps_of(None, None, 150, 32) == probe.steps_of(None, 40, 82_783, 128) == probe.STEPS == 25_880
    )
    assert probe.steps_of(None, 3, 150, 32) == 15 and probe.steps_of(17, None, 150, 32) == 17
    steps, epochs = (
        fit_grid(features, labels, batch_size=32, **given) for given in ({"steps": 15}, {"epochs": 3})
    )
    np.testing.assert_array_equal(steps.weight, epochs.weight)
    np.testing.assert_array_equal(steps.bias, epochs.bias)
    probes = [
        LinearProbe(batch_size=32, **given).fit(features[0], labels)
        for given in ({"steps": 15}, {"epochs": 3})
    ]
    np.testing.assert_array_equal(*(one.predict_proba(features[0]) for one in probes))


def test_results_do_not_depend_on_threads_or_cache(data, monkeypatch):
    """How many probes a group holds changes no batch and no first weight, only the order of additions."""
    features, labels, _ = data
    threads = torch.get_num_threads()
    expected = fit_grid(features, labels, **SHORT)
    try:
        for count, cache in ((1, 1), (1, 2**30), (2, 2**22), (3, 1), (8, 2**30)):
            torch.set_num_threads(count)
            monkeypatch.setattr(probe, "CACHE", cache)
            found = fit_grid(features, labels, **SHORT)
            np.testing.assert_allclose(found.weight, expected.weight, atol=1e-6)
            np.testing.assert_allclose(found.bias, expected.bias, atol=1e-6)
            assert torch.get_num_threads() == count  # as the caller had set it
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_our_adam_is_torchs(weight_decay):
    """Over 2,000 steps of gradients of very different sizes, some of them 0."""
    generator = torch.Generator().manual_seed(0)
    sizes = 10.0 ** torch.linspace(-6, 3, 40)
    sizes[:3] = 0
    first = torch.randn(40, generator=generator)
    ours, (view,) = descent.packed([first.view(8, 5)], torch.device("cpu"))
    theirs = torch.nn.Parameter(first.clone())
    step, adam = descent._adam(ours, weight_decay), torch.optim.Adam([theirs], weight_decay=weight_decay)
    for taken in range(2000):
        gradient = sizes * torch.randn(40, generator=generator)
        lr = 1e-2 * (1 + np.cos(np.pi * taken / 2000)) / 2
        adam.param_groups[0]["lr"] = lr
        ours.grad.copy_(gradient)
        theirs.grad = gradient.clone()
        step(lr)
        adam.step()
    np.testing.assert_allclose(view.flatten(), theirs.detach(), rtol=1e-4, atol=2e-5)
    assert (ours - first).abs().max() > 0.3  # it went somewhere


def test_together_equals_one_after_another(data):
    """Over the paper's 40 epochs, within the noise of float addition."""
    features, labels, _ = data
    together = fit_grid(features, labels, epochs=40, batch_size=32)
    for point in range(5):
        alone = fit_grid(features[point : point + 1], labels, epochs=40, batch_size=32)
        np.testing.assert_allclose(together.weight[point], alone.weight[0], atol=1e-5)
        np.testing.assert_allclose(
            together.scores(features)[point], alone.scores(features[point : point + 1])[0], atol=1e-5
        )


def test_chunks_of_a_generator_are_one_grid(data, monkeypatch):
    features, labels, _ = data
    whole = fit_grid(features, labels, **SHORT).scores(features)
    parts = fit_grid((features[first : first + 2] for first in (0, 2, 4)), labels, **SHORT)
    assert len(parts) == 5
    np.testing.assert_allclose(parts.scores(iter([features[:3], features[3:]])), whole, atol=1e-6)
    monkeypatch.setattr(probe, "WORKING_SET", 2 * features[0].nbytes)
    assert [len(chunk) for chunk in probe.chunks(features)] == [2, 2, 1]
    np.testing.assert_allclose(fit_grid(features, labels, **SHORT).scores(features), whole, atol=1e-6)


def test_arrays_tensors_and_half_precision_are_taken_and_left_as_they_were(data):
    features, labels, _ = data
    before = features.copy()
    scores = fit_grid(features, labels, **SHORT).scores(features)
    np.testing.assert_array_equal(features, before)
    tensor = torch.from_numpy(features)
    np.testing.assert_array_equal(fit_grid(tensor, labels, **SHORT).scores(tensor), scores)
    np.testing.assert_array_equal(features, before)
    features.setflags(write=False)
    np.testing.assert_array_equal(fit_grid(features, labels, **SHORT).scores(features), scores)
    half = (features / 100).astype(np.float16)
    assert fit_grid(half, labels, **SHORT).scores(half).dtype == np.float32


def test_seed_decides_everything(data):
    features, labels, _ = data
    first, again, other = (fit_grid(features, labels, **SHORT, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.weight, again.weight)
    assert not np.array_equal(first.weight, other.weight)


def test_scaling_is_that_of_training_and_a_constant_feature_is_harmless(data):
    features, labels, _ = data
    features[:, :, 3] = 123.4
    features[:, :, 4] = 0
    probes = fit_grid(features, labels, **SHORT)
    expected = StandardScaler().fit(features[0].astype(np.float64))
    varying = [i for i in range(16) if i not in (3, 4)]
    np.testing.assert_allclose(probes.mean[0, 0], expected.mean_, rtol=1e-5)
    np.testing.assert_allclose(probes.std[0, 0, varying], expected.scale_[varying], rtol=1e-4)
    assert (probes.std[:, :, [3, 4]] == 1).all()
    assert np.isfinite(probes.scores(features)).all()
    some = features[:, :10]
    np.testing.assert_allclose(probes.scores(some), probes.scores(features)[:, :10], atol=1e-6)


def test_without_scaling_the_features_are_taken_as_they_are(data):
    features, labels, _ = data
    probes = fit_grid(features, labels, scale="none", **SHORT)
    logits = features[2].astype(np.float64) @ probes.weight[2].numpy().T + probes.bias[2, :, 0].numpy()
    np.testing.assert_allclose(probes.scores(features)[2], 1 / (1 + np.exp(-logits)), atol=1e-4)


def test_chosen_points_are_scored_alone(data):
    features, labels, _ = data
    probes = fit_grid(features, labels, **SHORT)
    chosen = probes[[3, 1]]
    assert len(chosen) == 2
    np.testing.assert_allclose(chosen.scores(features[[3, 1]]), probes.scores(features)[[3, 1]], atol=1e-6)


def test_a_probe_learns(data):
    features, labels, _ = data
    scores = fit_grid(features, labels, epochs=40, lr=0.05).scores(features)
    assert average_precision_score(labels, scores[0], average="macro") > 0.9


NAN = np.zeros((2, 4, 3))
NAN[1, 2, 0] = np.nan
OK = np.zeros((2, 4, 3))
LABELS = np.eye(4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit_grid(NAN, LABELS), "NaN or infinite values, the first at grid point 1, sample 2"),
        (lambda: fit_grid([OK, np.full((1, 4, 3), np.inf)], LABELS, **SHORT), "grid point 2, sample 0"),
        (lambda: fit_grid(OK, np.eye(5), **SHORT), "features have 4 samples, labels have 5"),
        (lambda: fit_grid(OK, 2 * LABELS), "must be 0 or 1, found 2"),
        (lambda: fit_grid(OK, np.zeros((4, 0))), "non-empty"),
        (lambda: fit_grid(OK[0], LABELS), r"must be \(P, N, D\), got shape \(4, 3\)"),
        (lambda: fit_grid([OK[0]], LABELS), "in chunks along P"),
        (lambda: fit_grid(OK[:, :0], LABELS), "non-empty"),
        (lambda: fit_grid(OK[:0], LABELS), "no grid point"),
        (lambda: fit_grid([], LABELS), "no grid point"),
        (lambda: fit_grid([OK, np.zeros((1, 4, 2))], LABELS, **SHORT), "share a width, got 3 and 2"),
        (lambda: fit_grid(OK, LABELS, loss="mse"), "'mse'"),
        (lambda: fit_grid(OK, LABELS, scale="minmax"), "'minmax'"),
        (lambda: fit_grid(OK, LABELS, epochs=0), "must be positive, got None, 0 and 128"),
        (lambda: fit_grid(OK, LABELS, steps=0), "must be positive, got 0, None and 128"),
        (lambda: fit_grid(OK, LABELS, steps=9, batch_size=0), "must be positive, got 9, None and 0"),
        (lambda: fit_grid(OK, LABELS, epochs=9, batch_size=0), "must be positive, got None, 9 and 0"),
        (lambda: fit_grid(OK, LABELS, steps=9, epochs=4), "in steps or in epochs, not both; got 9 and 4"),
        (lambda: LinearProbe(steps=9, epochs=4).fit(np.eye(4), [0, 1, 0, 1]), "not both; got 9 and 4"),
        (lambda: fit_grid(OK, LABELS, lr=0.0), "lr must be positive"),
        (lambda: fit_grid(OK, LABELS, weight_decay=-1.0), "weight_decay not negative, got 0.001 and -1"),
        (lambda: fit_grid(OK, LABELS[:, :3], loss="ce"), "sample 3 has 0 labels: measure mAP"),
        (lambda: fit_grid(OK, np.array([0, 1, -1, 0]), loss="ce"), "integers from 0"),
        (lambda: fit_grid(OK, np.array([0.0, 1, 1, 0]), loss="ce"), "integers from 0"),
        (lambda: fit_grid(OK, LABELS, **SHORT).scores(OK[:1]), r"must be \(2, M, 3\).* got 1 points"),
        (lambda: fit_grid(OK, LABELS, **SHORT).scores(OK[:, :, :2]), r"must be \(2, M, 3\)"),
        (lambda: fit_grid(OK, LABELS, **SHORT).scores(np.zeros((3, 1, 3))), r"must be \(2, M, 3\)"),
        (lambda: fit_grid(OK, LABELS, **SHORT).scores(NAN), "grid point 1, sample 2"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# Probabilities are float32: their last digit depends on how many samples are scored at once.
FLOAT32 = {"check_methods_sample_order_invariance", "check_methods_subset_invariance"}


@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize(
    "check",
    [check for _, check in estimator_checks_generator(LinearProbe(lr=0.1, epochs=40))],
    ids=lambda check: check.func.__name__,
)
def test_estimator_keeps_scikit_learns_contract(check):
    if check.func.__name__ not in FLOAT32:
        check(LinearProbe(lr=0.1, epochs=40))


def test_estimator_is_the_grid_of_one_point(data):
    features, labels, classes = data
    many = LinearProbe(**SHORT).fit(features[0], labels)
    np.testing.assert_array_equal(
        many.predict_proba(features[0]), fit_grid(features[:1], labels, **SHORT).scores(features[:1])[0]
    )
    assert many.predict(features[0]).shape == labels.shape
    names = np.array(["ant", "bee", "cat", "dog"])[classes]
    one = LinearProbe(lr=0.1, epochs=40).fit(features[0], names)
    assert one.classes_.tolist() == ["ant", "bee", "cat", "dog"]
    np.testing.assert_allclose(one.predict_proba(features[0]).sum(axis=1), 1, atol=1e-5)
    assert one.score(features[0], names) > 0.8


def test_estimator_clones_and_tunes_in_a_pipeline(data):
    features, labels, classes = data
    assert clone(LinearProbe(seed=3)).get_params() == {**LinearProbe().get_params(), "seed": 3}
    with pytest.raises(NotFittedError):
        LinearProbe().predict(features[0])
    for target, scoring in ((labels, "average_precision"), (classes, "accuracy")):
        pipeline = make_pipeline(StandardScaler(), LinearProbe(scale="none", **SHORT))
        search = GridSearchCV(pipeline, {"linearprobe__lr": [1e-6, 0.1]}, scoring=scoring, cv=3)
        search.fit(features[0], target)
        assert search.best_params_ == {"linearprobe__lr": 0.1}
