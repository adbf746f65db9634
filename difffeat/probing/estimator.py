"""The paper's linear probe for scikit-learn."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from difffeat.probing.probe import fit_grid


class LinearProbe(ClassifierMixin, BaseEstimator):
    """The paper's linear probe as a scikit-learn classifier, for many labels or for one class per sample.

    Parameters
    ----------
    steps, epochs, batch_size, lr, weight_decay, scale, seed
        As in `fit_grid`.

    Attributes
    ----------
    classes_ : ndarray of shape (K,); the classes, or the numbers of the labels
    n_features_in_ : int
    probes_ : Probes, with P = 1

    Examples
    --------
    >>> probe = LinearProbe().fit(train_features, train_labels)  # (N, D), (N, K)  # doctest: +SKIP
    >>> probe.predict_proba(test_features)  # (M, K)  # doctest: +SKIP
    """

    def __init__(
        self,
        steps: int | None = None,
        epochs: int | None = None,
        batch_size: int = 128,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        scale: str = "standard",
        seed: int = 0,
    ) -> None:
        self.steps = steps
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.scale = scale
        self.seed = seed

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on features X (N, D) and labels y (N, K), 0 or 1, or classes y (N,)."""
        X, y = validate_data(self, X, y, multi_output=True, dtype=np.float32)
        check_classification_targets(y)
        self.multilabel_ = type_of_target(y) == "multilabel-indicator"
        if self.multilabel_:
            self.classes_ = np.arange(y.shape[1])
        else:
            self.classes_, y = np.unique(column_or_1d(y, warn=True), return_inverse=True)
        self.probes_ = fit_grid(X[None], y, loss="bce" if self.multilabel_ else "ce", **self.get_params())
        return self

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Probabilities (M, K): of each label, or of each class."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        return self.probes_.scores(X[None])[0]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Labels (M, K) with probability at least 0.5, or the most probable class (M,)."""
        probabilities = self.predict_proba(X)
        if self.multilabel_:
            return (probabilities >= 0.5).astype(int)
        return self.classes_[probabilities.argmax(axis=1)]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
