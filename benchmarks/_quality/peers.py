"""Other packages as scikit-learn classifiers, where they are installed."""

import importlib.util
import tempfile
import warnings

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin


def is_installed(package):
    """Return whether a package can be imported."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # that of which it is a part
        return False


class WideDeep(ClassifierMixin, BaseEstimator):
    """pytorch-widedeep with its default head, on clinical values and ready features of images.

    Parameters
    ----------
    n_clinical : int, default=0
        The first columns of X are clinical values; the others are features of the image.
    epochs : int or None, default=None
        None takes 10, the best of 10, 20 and 50 for it on the two real sets; the package's own
        default is a single one.
    seed : int, default=0
        Decides initial weights and the order of samples.
    """

    def __init__(self, n_clinical=0, epochs=None, seed=0):
        self.n_clinical = n_clinical
        self.epochs = epochs
        self.seed = seed

    def fit(self, X, y):
        """Train its default model: Adam, batches of 32."""
        with warnings.catch_warnings(), torch.random.fork_rng():
            warnings.simplefilter("ignore")
            from pytorch_widedeep import Trainer
            from pytorch_widedeep.models import TabMlp, WideDeep

            torch.manual_seed(self.seed)
            self.classes_ = np.unique(y)
            names = [f"value_{number}" for number in range(self.n_clinical)]
            table = TabMlp({name: i for i, name in enumerate(names)}, continuous_cols=names)
            image = torch.nn.Flatten()
            image.output_dim = X.shape[1] - self.n_clinical
            self.trainer_ = Trainer(
                WideDeep(deeptabular=table, deepimage=image),
                objective="binary",
                device="cpu",
                num_workers=0,
                seed=self.seed,
                verbose=0,
            )
            self.trainer_.fit(
                **self._inputs(X), target=np.asarray(y), n_epochs=self.epochs or 10, batch_size=32
            )
        return self

    def predict_proba(self, X):
        """Predict the probabilities of both classes."""
        return self.trainer_.predict_proba(**self._inputs(X), batch_size=256)

    def _inputs(self, X):
        """Name the inputs as the package does: features are an image of one pixel."""
        X = np.asarray(X, np.float32)
        features = X[:, None, None, self.n_clinical :]
        return {"X_tab": X[:, : self.n_clinical], "X_img": features}


class AutoGluon(ClassifierMixin, BaseEstimator):
    """AutoGluon MultiModal with its own recipe: it trains its own encoder on the image files.

    Parameters
    ----------
    inputs : tuple of str, default=()
        Columns of the clinical values.
    epochs : int or None, default=None
        None takes 8.
    seed : int, default=0
        Decides initial weights and the order of samples.
    """

    def __init__(self, inputs=(), epochs=None, seed=0):
        self.inputs = inputs
        self.epochs = epochs
        self.seed = seed

    def fit(self, X, y):
        """Train its default model."""
        from autogluon.multimodal import MultiModalPredictor

        self.classes_ = np.unique(y)
        self.folder_ = tempfile.TemporaryDirectory()
        self.predictor_ = MultiModalPredictor("label", path=self.folder_.name, verbosity=0)
        self.predictor_.fit(
            self._table(X).assign(label=y),
            hyperparameters={"optim.max_epochs": self.epochs or 8},
            seed=self.seed,
        )
        return self

    def predict_proba(self, X):
        """Predict the probabilities of both classes."""
        return np.asarray(self.predictor_.predict_proba(self._table(X)))

    def _table(self, X):
        return X[["image", *self.inputs]].reset_index(drop=True)
