"""The metrics, and their values under counts of patients."""

import inspect
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import get_scorer, get_scorer_names

from .._utils.validation import check_parameter, did_you_mean
from ._ranks import Ranks


class Metric(NamedTuple):
    """A name, the scale of its interval, and whether more (1) or less (-1) is better."""

    name: str
    scale: str | None
    better: int
    scorer: object = None


_TWO = {
    name: Metric(name, scale, better)
    for name, scale, better in (
        ("auc", "logit", 1), ("average_precision", "logit", 1), ("brier", None, -1),
        ("log_loss", None, -1), ("accuracy", "logit", 1), ("sensitivity", "logit", 1),
        ("specificity", "logit", 1), ("balanced_accuracy", "logit", 1), ("precision", "logit", 1),
        ("f1", "logit", 1), ("net_benefit", None, 1), ("expected_observed", "log", 0),
    )
}  # fmt: skip
# Options of a scorer that name classes as they are called in y.
_LABEL_OPTIONS = {"pos_label", "labels"}
CALIBRATION = ("in_the_large", "calibration_intercept", "calibration_slope")


def choose_metrics(metrics, classes):
    """Return the metrics, those of calibration by name, and what was left out."""
    if metrics is None:
        metrics = [*_TWO, *CALIBRATION]
    is_one = isinstance(metrics, str) or callable(metrics)
    allowed = "None, or one metric or more, by name or as callables"
    check_parameter("metrics", metrics, is_one or isinstance(metrics, Iterable), allowed)
    metrics = [metrics] if is_one else list(metrics)
    check_parameter("metrics", metrics, len(metrics) > 0, allowed)
    known = _TWO
    if len(classes) > 2:
        several = [f"auc_{label}" for label in classes.tolist()]
        known = {name: _TWO[name] for name in ("auc", "log_loss", "accuracy")}
        known |= {name: Metric(name, "logit", 1) for name in several}
        if "auc" in metrics:
            metrics += [name for name in several if name not in metrics]
    chosen, calibration, left_out = [], [], []
    for metric in metrics:
        if callable(metric):
            chosen.append(_foreign(_name_of(metric), metric))
            continue
        check_parameter("metrics", metric, isinstance(metric, str), "names and callables")
        if metric in known:
            chosen.append(known[metric])
        elif len(classes) > 2 and (metric in _TWO or metric in CALIBRATION):
            left_out.append(metric)
        elif metric in CALIBRATION:
            calibration.append(metric)
        else:
            names = [*known, *CALIBRATION, *get_scorer_names()]
            guess = did_you_mean(metric, names)
            ours = f"{', '.join([*known, *CALIBRATION])}, a scorer of scikit-learn or a callable"
            check_parameter("metrics", metric, metric in names, f"{ours}; {guess}")
            chosen.append(_foreign(metric, get_scorer(metric)))
    names = [metric.name for metric in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"metrics: {twice[0]!r} is the name of several; give each callable its own __name__"
        )
    return chosen, calibration, left_out


def _name_of(metric):
    """Return the name of a callable, of a scorer that of its function."""
    return getattr(metric, "__name__", None) or getattr(_function_of(metric), "__name__", "metric")


def _foreign(name, metric):
    """Return a foreign metric; ValueError for one that cannot be told how often who was drawn."""
    try:
        taken = inspect.signature(_function_of(metric)).parameters.values()
    except (TypeError, ValueError):
        return Metric(name, None, 1, metric)
    if not any(one.name == "sample_weight" or one.kind is one.VAR_KEYWORD for one in taken):
        raise ValueError(
            f"metrics: {name!r} takes no sample_weight, by which replicates of the bootstrap say "
            "how often each patient was drawn; allowed: metrics that take it, such as a callable "
            "metric(y, score, sample_weight=...)"
        )
    return Metric(name, None, 1, metric)


class RowMetrics:
    """The metrics of one row of scores."""

    def __init__(self, units, score, metrics, threshold):
        self.units, self.score, self.metrics, self.threshold = units, score, metrics, threshold
        self.is_binary = len(units.classes) == 2
        self.sums = self._sums_of() if any(not m.scorer for m in metrics) else None
        self.ranks = {}
        if any(is_of_ranks(metric) for metric in metrics):
            codes = [1] if self.is_binary else range(len(units.classes))
            self.ranks = {code: self._ranks_of(code) for code in codes}
        # With several classes "auc" is a mean and of no class.
        self.auc_codes = {
            "auc" if self.is_binary else f"auc_{units.classes[code]}": code for code in self.ranks
        }

    def _ranks_of(self, code):
        units, score = self.units, self.score
        if not self.is_binary:
            # Against the others together: a probability near 1 has no digits left for its rank.
            score = score[:, code] - logsumexp(np.delete(score, code, axis=1), axis=1)
        columns = zip(score.T, units.fold.T, strict=True)
        return [Ranks(units.y == code, column, fold, units.patient) for column, fold in columns]

    def _sums_of(self):
        """Add what metrics are ratios of by patient; the mean of repeats."""
        y, score = self.units.y[:, None], self.score
        if self.is_binary:
            p, said = expit(score), score > self.threshold
            from_there = score >= self.threshold
            parts = {
                "n": np.ones(score.shape), "positive": y + np.zeros(score.shape), "p": p,
                "log_loss": np.logaddexp(0.0, np.where(y == 1, -score, score)),
                "brier": (p - y) ** 2, "tp": said & (y == 1), "fp": said & (y == 0),
                # As decision curves have it: the threshold itself is positive.
                "tp_from": from_there & (y == 1), "fp_from": from_there & (y == 0),
            }  # fmt: skip
        else:
            right = np.take_along_axis(score, y[..., None], axis=1)[:, 0]
            parts = {
                "n": np.ones(right.shape), "log_loss": -right,
                "right": score.argmax(axis=1) == y,
            }  # fmt: skip
        patient, n = self.units.patient, self.units.n_patients
        means = {name: np.asarray(part, float).mean(axis=1) for name, part in parts.items()}
        return {name: np.bincount(patient, part, n) for name, part in means.items()}

    def values(self, weights):
        """Return each metric for each row of counts: (n_replicates, n_metrics)."""
        found = {}
        if self.sums is not None:
            sums = weights @ np.column_stack(list(self.sums.values()))
            with np.errstate(divide="ignore", invalid="ignore"):
                found = self._ratios(dict(zip(self.sums, sums.T, strict=True)))
        for name, code in self.auc_codes.items():
            found[name] = _ratio([rank.auc(weights) for rank in self.ranks[code]])
        if not self.is_binary and self.ranks:
            found["auc"] = np.mean([found[f"auc_{c}"] for c in self.units.classes], axis=0)
        columns = []
        for metric in self.metrics:
            if metric.scorer is not None:
                found[metric.name] = self._scored(metric.scorer, weights)
            elif metric.name == "average_precision":
                found[metric.name] = _ratio([r.average_precision(weights) for r in self.ranks[1]])
            columns.append(found[metric.name])
        return np.column_stack(columns) if columns else np.empty((len(weights), 0))

    def taken_over(self, metric):
        """Return by patient what a proportion is taken over; for an AUC positives and negatives.

        Empty for other metrics.
        """
        if metric.scorer is not None:
            return []
        s, units = self.sums, self.units
        if metric.name in self.auc_codes:
            is_positive = units.y == self.auc_codes[metric.name]
            sides = (is_positive, ~is_positive)
            return [np.bincount(units.patient, side, units.n_patients) for side in sides]
        if metric.name == "accuracy":
            return [s["n"]]
        if metric.name == "sensitivity":
            return [s["positive"]]
        if metric.name == "specificity":
            return [s["n"] - s["positive"]]
        return [s["tp"] + s["fp"]] if metric.name == "precision" else []

    def _ratios(self, s):
        """Return the metrics that are ratios of sums."""
        n = s["n"]
        if not self.is_binary:
            return {"log_loss": s["log_loss"] / n, "accuracy": s["right"] / n}
        tp, fp, positive, negative = s["tp"], s["fp"], s["positive"], n - s["positive"]
        sensitivity, specificity = tp / positive, 1 - fp / negative
        is_declared = np.ndim(self.threshold) == 0
        odds = np.exp(self.threshold) if is_declared else np.nan
        return {
            "log_loss": s["log_loss"] / n, "brier": s["brier"] / n,
            "accuracy": (tp + negative - fp) / n,
            "sensitivity": sensitivity, "specificity": specificity,
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "precision": tp / (tp + fp), "f1": 2 * tp / (tp + fp + positive),
            "net_benefit": (s["tp_from"] - odds * s["fp_from"]) / n,
            "expected_observed": s["p"] / positive,
        }  # fmt: skip

    def _scored(self, scorer, weights):
        """Call a foreign metric for each replicate and repeat."""
        # 1 is the positive class, whatever it is called; a scorer may name it itself.
        is_named = _LABEL_OPTIONS & set(getattr(scorer, "_kwargs", ()))
        classes = self.units.classes if is_named else np.arange(len(self.units.classes))
        y = classes[self.units.y]
        values = np.full((len(weights), self.score.shape[-1]), np.nan)
        for row, counts in zip(values, weights, strict=True):
            drawn = counts[self.units.patient].astype(float)
            rows = np.flatnonzero(drawn)
            for repeat in range(len(row)):
                column = self.score[..., repeat]
                if _is_scorer(scorer):
                    shared = np.ndim(self.threshold) == 0
                    threshold = self.threshold if shared else self.threshold[:, repeat]
                    kept = _Kept(classes, column, threshold)
                    row[repeat] = scorer(kept, rows, y[rows], sample_weight=drawn[rows])
                else:
                    row[repeat] = scorer(y[rows], column[rows], sample_weight=drawn[rows])
        return values.mean(axis=1)


def is_of_ranks(metric):
    """Return whether a metric needs the order of scores."""
    return metric.scorer is None and metric.name.startswith(("auc", "average_precision"))


def _is_scorer(scorer):
    """Return whether this is one of scikit-learn's scorers, not a plain function."""
    return hasattr(scorer, "_score_func")


def _function_of(scorer):
    """Return the function that a scorer calls; others are functions themselves."""
    return scorer._score_func if _is_scorer(scorer) else scorer


def _ratio(parts):
    """Divide sums over repeats; NaN where there is no pair."""
    above, below = (np.sum(part, axis=0) for part in zip(*parts, strict=True))
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


class _Kept(ClassifierMixin, BaseEstimator):
    """Scores as an estimator whose X is a column of row numbers."""

    def __init__(self, classes, scores, threshold):
        self.classes_, self.scores, self.threshold = classes, scores, threshold

    def __sklearn_is_fitted__(self):
        return True

    def decision_function(self, X):
        return self.scores[X]

    def predict_proba(self, X):
        score = self.scores[X]
        return np.column_stack([expit(-score), expit(score)]) if score.ndim == 1 else np.exp(score)

    def predict(self, X):
        score = self.scores[X]
        if score.ndim > 1:
            return self.classes_[score.argmax(axis=1)]
        threshold = self.threshold if np.ndim(self.threshold) == 0 else self.threshold[X]
        return self.classes_[(score > threshold).astype(int)]
