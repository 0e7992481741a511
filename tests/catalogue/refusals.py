"""What "refused" means to a user: the right error, in time, and nothing lost."""

import copy
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback

ROW = 37
"""The row that is spoilt: not in the first batch of 16, nor in the first thread's part."""


class EpochCounter(Callback):
    """Counts the epochs that have begun, its copies' too."""

    n_begun = 0

    def on_epoch_begin(self, net, **kwargs):
        EpochCounter.n_begun += 1


@contextmanager
def no_epoch_begins():
    """Check that training does not begin in the block, which may fail."""
    n_begun = EpochCounter.n_begun
    try:
        yield
    finally:
        assert EpochCounter.n_begun == n_begun, "training had begun"


class Fitted:
    """An estimator that has been fitted to good rows, and is then given bad ones.

    It is fitted once, and copied for each refusal.
    """

    def __init__(self, estimator, X, y):
        self.X, self.y = X, y
        is_pipeline = isinstance(estimator, Pipeline)
        classifier = estimator.named_steps["classifier"] if is_pipeline else estimator
        classifier.set_params(callbacks=[EpochCounter()])
        n_begun = EpochCounter.n_begun
        self.estimator = estimator.fit(X, y)
        assert EpochCounter.n_begun == n_begun + classifier.max_epochs
        self.probabilities = self.estimator.predict_proba(X)

    def refuses(self, X, error, match, *, y=None, predict=True):
        """Check that `fit`, and `predict` too, refuse a table; return the error of `fit`."""
        y = self.y[: len(X)] if y is None else y
        attempt = self.copy()
        with pytest.raises(error, match=match) as caught, no_epoch_begins():
            attempt.fit(X, y)
        self.check_whole_or_gone(attempt)
        if predict:
            with pytest.raises(error, match=match):
                self.estimator.predict(X)
        return caught.value

    def copy(self):
        """Return a fitted copy of the estimator, for an attempt that may leave no fit."""
        return copy.deepcopy(self.estimator)

    def check_whole_or_gone(self, attempt):
        """Check that a refused `fit` has left the earlier one as it was, or none at all."""
        try:
            probabilities = attempt.predict_proba(self.X)
        except NotFittedError:
            return
        np.testing.assert_array_equal(probabilities, self.probabilities)

    def refuses_image(self, path, error, match):
        """Check the refusal of a table that names this image in one row."""
        caught = self.refuses(self.with_image(path), error, match)
        assert f"row {ROW}" in str(caught)
        if isinstance(path, str) and "\0" not in path:
            assert path in str(caught)
        return caught

    def with_image(self, path, row=ROW):
        """Return the table with another image in one row."""
        images = self.X["image"].astype(object).to_numpy(copy=True)
        images[row] = path
        return self.X.assign(image=pd.Series(images, index=self.X.index, dtype=object))

    def with_value(self, column, value, row=ROW):
        """Return the table with another value in one cell."""
        cells = np.empty(len(self.X), dtype=object)
        cells[:] = self.X[column].tolist()
        cells[row] = value
        return self.X.assign(**{column: pd.Series(cells, index=self.X.index, dtype=object)})

    def sees(self, path):
        """Return the probabilities of a row with this image."""
        return self.estimator.predict_proba(self.with_image(path))[ROW].tolist()
