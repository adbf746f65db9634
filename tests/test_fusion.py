"""Fusion heads against their formulas, and what the formulas imply."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from difffeat.probing import descent, fusion, heads, probe
from difffeat.probing.fusion import fit, fit_pairs
from difffeat.probing.heads import HEADS

SHORT = dict(epochs=3, batch_size=32, d_align=6)


@pytest.fixture
def data():
    """Three image points (N, 10) and two text points (N, 7) of one latent (N, 4); labels (N, 4)."""
    generator = np.random.default_rng(0)
    latent = generator.normal(size=(100, 4))
    images, texts = (
        latent @ generator.normal(size=(points, 4, width)) + generator.normal(size=(points, 100, width)) + 3
        for points, width in ((3, 10), (2, 7))
    )
    return images.astype(np.float32), texts.astype(np.float32), (latent > 0.8).astype(np.uint8)


def by_hand(fused, image, text):
    """The paper's formula for one sample at a time, with column vectors, in float64."""
    weights = {name: weight.double().numpy().T for name, weight in fused.weights.items()}
    image, text = (
        (x - mean[0].double().numpy()) / std[0].double().numpy()
        for x, (mean, std) in ((image, fused.scaling["image"]), (text, fused.scaling["text"]))
    )

    def softmax(values):
        shifted = np.exp(values - values.max(axis=-1, keepdims=True))
        return shifted / shifted.sum(axis=-1, keepdims=True)

    def joined(i, t):
        if fused.head == "concat":
            return np.concatenate([i / np.linalg.norm(i), t / np.linalg.norm(t)])
        if fused.head == "linear_concat":
            return np.concatenate([weights["image"] @ i, weights["text"] @ t])
        if fused.head == "addition":
            return weights["image"] @ i + weights["text"] @ t
        query, key, value = weights["query"] @ i, weights["key"] @ t, weights["value"] @ t
        if fused.head == "cross_attention":
            return softmax(np.array([[query @ key]]) / np.sqrt(len(key)))[0, 0] * value
        return softmax(np.outer(query, key) / np.sqrt(len(key))) @ value

    logits = [
        weights["classifier"] @ joined(i, t) + weights["bias"][:, 0] for i, t in zip(image, text, strict=True)
    ]
    return 1 / (1 + np.exp(-np.array(logits)))


@pytest.mark.parametrize("head", HEADS)
def test_scores_are_the_formula(data, head):
    images, texts, labels = data
    fused = fit(head, images[0], texts[0], labels, **SHORT)
    np.testing.assert_allclose(
        fused.scores(images[0], texts[0]), by_hand(fused, images[0], texts[0]), atol=1e-5
    )


EVEN = [(0, 0), (2, 1), (1, 0)]  # in no order of text
UNEVEN = [
    (1, 1),
    (0, 0),
    (1, 0),
    (0, 1),
    (1, 1),
    (2, 0),
    (1, 0),
]  # one point of four pairs


@pytest.mark.parametrize("pairs", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("head", HEADS)
def test_pairs_together_equal_one_after_another(data, head, pairs, monkeypatch):
    images, texts, labels = data
    together = fit_pairs(head, images, texts, labels, pairs=pairs, **SHORT)
    monkeypatch.setattr(fusion, "_pairs_together", lambda *_: 2)
    split = fit_pairs(head, images, texts, labels, pairs=pairs, **SHORT)
    for (i, t), ours, half in zip(pairs, together, split, strict=True):
        alone = fit(head, images[i], texts[t], labels, **SHORT)
        expected = alone.scores(images[i], texts[t])
        np.testing.assert_allclose(ours.scores(images[i], texts[t]), expected, atol=1e-5)
        np.testing.assert_allclose(half.scores(images[i], texts[t]), expected, atol=1e-5)
        np.testing.assert_allclose(ours.losses, alone.losses, atol=1e-5)


@pytest.mark.parametrize(("on_gpu", "together"), [(True, 12), (False, 3)])
def test_pairs_are_shared_out_to_threads_of_a_processor_alone(on_gpu, together, monkeypatch):
    """A GPU trains them in one go, whatever number of threads its host has."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    features = {
        name: SimpleNamespace(is_cuda=on_gpu, shape=(1, 8, width))
        for name, width in (("image", 6), ("text", 4))
    }
    assert fusion._pairs_together("addition", features, 8, 128, 12) == together


def test_all_pairs_in_order_by_default(data):
    images, texts, labels = data
    fused = fit_pairs("addition", images, texts, labels, **SHORT)
    assert len(fused) == 6
    last = fit("addition", images[2], texts[0], labels, **SHORT)
    np.testing.assert_allclose(fused[4].losses, last.losses, atol=1e-5)


def test_concat_is_a_probe_on_the_normalised_concatenation(data):
    images, texts, labels = data
    fused = fit("concat", images[0], texts[0], labels, scale="none", epochs=3, batch_size=32)
    normed = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images[0], texts[0])]
    features = np.concatenate(normed, axis=1)[None]
    probes = probe.fit_grid(features, labels, scale="none", epochs=3, batch_size=32)
    np.testing.assert_allclose(fused.scores(images[0], texts[0]), probes.scores(features)[0], atol=1e-5)


def plain(head, image, text, target, *, steps, loss="bce", weight_decay=0.0, d_align=6, lr=1e-3):
    """One pair as a script would train it: nn.Linear, autograd, Adam, CosineAnnealingLR.

    Returns
    -------
    probabilities (N, K), the loss of each batch (steps,), and how many samples each had (steps,)
    """
    generator = torch.Generator().manual_seed(0)
    widths, joined = {"image": 10, "text": 7, "query": 10, "key": 7, "value": 7}, d_align
    names = {"cross_attention": ("query", "key", "value")}.get(head, ("image", "text"))
    layers = {name: torch.nn.Linear(widths[name], d_align, bias=False) for name in names}
    if head == "linear_concat":
        joined = 2 * d_align
    layers["classifier"] = torch.nn.Linear(joined, 4)
    for layer in layers.values():
        weight, bias = descent.first_linear(layer.in_features, layer.out_features, generator)
        layer.load_state_dict({"weight": weight} | ({"bias": bias[:, 0]} if layer.bias is not None else {}))

    def logits(i, t):
        if head == "cross_attention":
            query, key, value = layers["query"](i), layers["key"](t), layers["value"](t)
            weight = torch.softmax((query * key).sum(dim=1, keepdim=True) / d_align**0.5, dim=1)
            return layers["classifier"](weight * value)
        parts = layers["image"](i), layers["text"](t)
        return layers["classifier"](torch.cat(parts, dim=1) if head == "linear_concat" else sum(parts))

    criterion = {"bce": binary_cross_entropy_with_logits, "ce": cross_entropy}[loss]
    parameters = [values for layer in layers.values() for values in layer.parameters()]
    adam = torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps)
    losses, sizes = [], []
    while len(losses) < steps:
        for rows in torch.randperm(len(image), generator=generator).split(32)[: steps - len(losses)]:
            adam.zero_grad()
            value = criterion(logits(image[rows], text[rows]), target[rows])
            value.backward()
            adam.step()
            cosine.step()
            losses.append(value.item())
            sizes.append(len(rows))
    link = torch.sigmoid if loss == "bce" else lambda values: torch.softmax(values, dim=1)
    return link(logits(image, text)).detach().numpy(), np.array(losses), np.array(sizes)


def by_epoch(losses, sizes, batches):
    """Mean loss of a sample in each epoch, of the samples that the last one reached."""
    starts = range(0, len(losses), batches)
    return [
        np.average(losses[first : first + batches], weights=sizes[first : first + batches])
        for first in starts
    ]


@pytest.mark.parametrize("loss", ["bce", "ce"])
@pytest.mark.parametrize("head", ["linear_concat", "addition", "cross_attention"])
@pytest.mark.parametrize(("steps", "weight_decay"), [(160, 0.0), (61, 0.02)])
def test_products_of_matrices_equal_a_plain_torch_loop(data, head, loss, steps, weight_decay):
    """The losses of Figure 3 too. An epoch is 4 batches, the last of 4 samples; 61 steps end after one."""
    images, texts, labels = data
    image, text = (torch.from_numpy((x - x.mean(axis=0)) / x.std(axis=0)) for x in (images[0], texts[0]))
    classes = labels.argmax(axis=1)
    target = torch.from_numpy(labels).float() if loss == "bce" else torch.from_numpy(classes)
    how = dict(steps=steps, loss=loss, weight_decay=weight_decay, lr=5e-3, d_align=6)
    expected, losses, sizes = plain(head, image, text, target, **how)
    fused = fit(head, images[0], texts[0], labels if loss == "bce" else classes, batch_size=32, **how)
    assert len(fused.losses) == -(-steps // 4)
    np.testing.assert_allclose(fused.losses, by_epoch(losses, sizes, 4), atol=1e-5)
    np.testing.assert_allclose(fused.scores(images[0], texts[0]), expected, atol=2e-5)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("steps", [1, 3, 6, 9])
def test_losses_of_an_epoch_that_is_cut_short_are_of_the_samples_it_reached(data, head, steps):
    """At a rate of next to nothing every batch is judged by the first weights."""
    images, texts, labels = data
    still = dict(d_align=6, batch_size=32, lr=1e-12)
    fused = fit(head, images[0], texts[0], labels, steps=steps, **still)
    generator = torch.Generator().manual_seed(0)
    shapes = {"image": torch.from_numpy(images), "text": torch.from_numpy(texts)}
    heads.first_weights(head, shapes, 4, 6, generator)  # it draws before the samples are ordered
    scores = np.clip(fused.scores(images[0], texts[0]).astype(float), 1e-9, 1 - 1e-9)
    each = -np.where(labels, np.log(scores), np.log(1 - scores)).mean(axis=1)  # (N,)
    orders = [torch.randperm(100, generator=generator).split(32) for _ in range(3)]
    rows = [order[: max(0, steps - 4 * epoch)] for epoch, order in enumerate(orders)]
    expected = [each[torch.cat(batches).numpy()].mean() for batches in rows if batches]
    np.testing.assert_allclose(fused.losses, expected, atol=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_steps_and_epochs_say_the_same(data, head):
    images, texts, labels = data
    steps, epochs = (
        fit(head, images[0], texts[0], labels, d_align=6, batch_size=32, **given)
        for given in ({"steps": 12}, {"epochs": 3})
    )
    np.testing.assert_array_equal(steps.losses, epochs.losses)
    np.testing.assert_array_equal(steps.weights["classifier"], epochs.weights["classifier"])


@pytest.mark.parametrize("head", HEADS)
def test_results_do_not_depend_on_threads_or_cache(data, head, monkeypatch):
    images, texts, labels = data
    threads = torch.get_num_threads()
    expected = fit_pairs(head, images, texts, labels, **SHORT)
    try:
        for count, cache in ((1, 1), (2, 1), (8, 1), (2, 2**30)):
            torch.set_num_threads(count)
            monkeypatch.setattr(fusion, "CACHE", cache)
            for ours, theirs in zip(fit_pairs(head, images, texts, labels, **SHORT), expected, strict=True):
                for name, values in theirs.weights.items():
                    np.testing.assert_allclose(ours.weights[name], values, atol=2e-6)
                np.testing.assert_allclose(ours.losses, theirs.losses, atol=1e-6)
    finally:
        torch.set_num_threads(threads)


def test_cross_attention_of_single_tokens_ignores_the_image(data):
    """A softmax over one key is 1: the head is W_V h_txt, and W_Q and W_K never move."""
    images, texts, labels = data
    trained = fit("cross_attention", images[0], texts[0], labels, **SHORT)
    other = fit("cross_attention", images[1] * 7, texts[0], labels, **SHORT)
    scores = trained.scores(images[0], texts[0])
    np.testing.assert_array_equal(trained.scores(images[2][::-1].copy(), texts[0]), scores)
    np.testing.assert_array_equal(other.scores(images[1], texts[0]), scores)
    mean, std = trained.scaling["text"]
    value = ((torch.from_numpy(texts[0]) - mean) / std) @ trained.weights["value"]
    logits = value @ trained.weights["classifier"] + trained.weights["bias"]
    np.testing.assert_allclose(torch.sigmoid(logits), scores, atol=1e-6)
    more = fit("cross_attention", images[0], texts[0], labels, **{**SHORT, "epochs": 6})
    for name in ("query", "key"):
        np.testing.assert_array_equal(trained.weights[name], more.weights[name])
    assert not np.array_equal(trained.weights["value"], more.weights["value"])


def test_channel_attention_uses_the_image(data):
    images, texts, labels = data
    fused = fit("channel_attention", images[0], texts[0], labels, **SHORT)
    assert np.abs(fused.scores(images[1], texts[0]) - fused.scores(images[0], texts[0])).max() > 1e-4


@pytest.mark.parametrize("head", ["linear_concat", "addition"])
def test_projected_heads_are_linear_in_the_features(data, head):
    """So they add no function to a linear probe of the concatenation."""
    images, texts, labels = data
    fused = fit(head, images[0], texts[0], labels, scale="none", **SHORT)
    scores = fused.scores(images[0], texts[0]).astype(np.float64)
    logits = np.log(scores / (1 - scores))
    inputs = np.concatenate([images[0], texts[0], np.ones((100, 1))], axis=1)
    fitted = inputs @ np.linalg.lstsq(inputs, logits, rcond=None)[0]
    np.testing.assert_allclose(logits, fitted, atol=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_losses_are_recorded_and_fall(data, head):
    images, texts, labels = data
    fused = fit(head, images[0], texts[0], labels, d_align=6, epochs=20, batch_size=32, lr=0.01)
    assert fused.losses.shape == (20,)
    assert fused.losses[-1] < fused.losses[0]


def test_classes_and_half_precision(data):
    images, texts, labels = data
    classes = labels.argmax(axis=1)
    fused = fit("addition", images[0].astype(np.float16), texts[0], classes, loss="ce", **SHORT)
    scores = fused.scores(images[0].astype(np.float16), texts[0])
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_seed_decides_everything(data):
    images, texts, labels = data
    first, again, other = (
        fit("addition", images[0], texts[0], labels, seed=seed, **SHORT) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.losses, again.losses)
    assert not np.array_equal(first.losses, other.losses)


def test_more_samples_than_a_batch_are_scored_the_same(data):
    images, texts, labels = data
    fused = fit("addition", images[0], texts[0], labels, **SHORT)
    many = fused.scores(np.tile(images[0], (3, 1)), np.tile(texts[0], (3, 1)))
    np.testing.assert_allclose(many, np.tile(fused.scores(images[0], texts[0]), (3, 1)), atol=1e-6)


IMAGES, TEXTS, LABELS = np.zeros((2, 4, 3)), np.zeros((1, 4, 5)), np.eye(4)
NAN = IMAGES.copy()
NAN[1, 2, 0] = np.nan


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: fit_pairs("sum", IMAGES, TEXTS, LABELS),
            "unknown fusion head 'sum'; there are concat, linear_concat",
        ),
        (
            lambda: fit_pairs("addition", NAN, TEXTS, LABELS),
            "image features hold NaN .* grid point 1, sample 2",
        ),
        (lambda: fit_pairs("addition", IMAGES[:, :3], TEXTS, LABELS), "image has 3 samples, labels has 4"),
        (lambda: fit_pairs("addition", IMAGES, TEXTS[:, :3], LABELS), "text has 3 samples, labels has 4"),
        (lambda: fit_pairs("addition", IMAGES, TEXTS, 3 * LABELS), "must be 0 or 1, found 3"),
        (lambda: fit_pairs("addition", IMAGES[0], TEXTS, LABELS), r"\(4, 3\)"),
        (lambda: fit_pairs("addition", IMAGES[:0], TEXTS, LABELS), "non-empty"),
        (
            lambda: fit_pairs("addition", IMAGES, TEXTS, LABELS, pairs=[(2, 0)]),
            r"pair \(2, 0\) is out of range",
        ),
        (lambda: fit_pairs("addition", IMAGES, TEXTS, LABELS, pairs=[]), "no pair"),
        (lambda: fit_pairs("addition", IMAGES, TEXTS, LABELS, d_align=0), "d_align must be positive, got 0"),
        (lambda: fit_pairs("addition", IMAGES, TEXTS, LABELS, scale="unit"), "'unit'"),
        (
            lambda: fit_pairs("addition", IMAGES, TEXTS, LABELS, steps=9, epochs=4),
            "in steps or in epochs, not both; got 9 and 4",
        ),
        (
            lambda: fit_pairs("addition", IMAGES, TEXTS, LABELS, steps=0),
            "must be positive, got 0, None and 128",
        ),
        (
            lambda: fit("addition", IMAGES[0], TEXTS[0], LABELS, **SHORT).scores(IMAGES[0], IMAGES[0]),
            "text .* 3 wide",
        ),
        (
            lambda: fit("addition", IMAGES[0], TEXTS[0], LABELS, **SHORT).scores(IMAGES[0], TEXTS[0, :2]),
            "image has 4",
        ),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
