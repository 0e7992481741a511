"""Log-odds of a fitted classifier, and the four metrics, as scikit-learn's scorers give them."""

import numpy as np
from sklearn.metrics import f1_score, make_scorer, precision_score, recall_score
from sklearn.utils.validation import _num_samples

METRICS = ("accuracy", "precision", "recall", "f1")


class ScoreKeeper:
    """A scorer that keeps the log-odds of the samples it is shown, and returns how many it cut.

    It keeps the engine that encoded their images, too; None for models without images.
    """

    def __init__(self, classes):
        self.classes = classes
        self.scores = self.engine = None

    def __call__(self, estimator, X, y):
        self.scores, n_clipped = log_odds_of(estimator, X, self.classes)
        self.engine = _engine_of(estimator)
        return n_clipped


def _engine_of(estimator):
    """Return the engine of a fitted fusion classifier with images, else None."""
    steps = getattr(estimator, "steps", None)
    network = getattr(steps[-1][1] if steps else estimator, "module_", None)
    return None if getattr(network, "encoder", None) is None else getattr(network, "engine", None)


def scorers(classes, keeper):
    """Return the paper's metrics, and a keeper of log-odds, for ``cross_validate``."""
    how = {"average": "binary", "pos_label": classes[1]} if len(classes) == 2 else {}
    # Where nothing is called positive, precision is 0, by declaration.
    how = {"average": "macro", "zero_division": 0.0} | how
    return {
        "accuracy": "accuracy",
        "precision": make_scorer(precision_score, **how),
        "recall": make_scorer(recall_score, **how),
        "f1": make_scorer(f1_score, **how),
        "n_clipped": keeper,
    }


def log_odds_of(estimator, X, classes):
    """Return log-odds, float64, and in how many samples a probability was raised to do so."""
    name = type(estimator).__name__
    if not np.array_equal(estimator.classes_, classes):
        raise ValueError(
            f"a fold was trained on the classes {np.asarray(estimator.classes_).tolist()} of "
            f"{classes.tolist()}; use fewer folds, or stratified ones"
        )
    n_clipped = 0
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(X), dtype=np.float64)
    elif hasattr(estimator, "predict_proba"):
        probability = np.asarray(estimator.predict_proba(X))
        # As in scikit-learn's log_loss.
        smallest = np.finfo(np.result_type(probability, np.float32)).eps
        n_clipped = int((probability < smallest).any(axis=1).sum())
        scores = np.log(np.maximum(probability.astype(np.float64), smallest))
        scores = scores[:, 1] - scores[:, 0] if len(classes) == 2 else scores
    else:
        raise TypeError(
            f"{name} has neither decision_function nor predict_proba, so there are no scores; wrap "
            "it in CalibratedClassifierCV"
        )
    n_samples = _num_samples(X)
    shape = (n_samples,) if len(classes) == 2 else (n_samples, len(classes))
    if scores.shape != shape:
        raise ValueError(
            f"{name} gives scores of shape {scores.shape}, expected {shape}: one for each sample"
            + (" and class" if len(classes) > 2 else "")
        )
    return scores, n_clipped
