"""A linear head, fitted to convergence on the features of a fixed encoder."""

import time
import warnings

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from ._device import ONE_BLAS_THREAD

# Far below what a probability in float32 shows, and above where steps are lost in rounding.
_TOLERANCE = 1e-8
_MOST_STEPS = 10_000


def fit_linear_head(classifier, dataset):
    """Fit the linear head of a classifier: logistic regression with an L2 penalty.

    What it minimizes is the sum of the samples' losses, times `C`, plus half the squared weights.
    """
    started = time.monotonic()
    network = classifier.module_
    values, codes = _head_inputs(network, dataset)
    weights = np.ones(len(codes))
    if dataset.sample_weight is not None:
        # They are kept in proportion to the largest, and here their sum counts.
        weights = dataset.sample_weight.double().numpy() * dataset.weight_unit
    if classifier.class_weights_ is not None:
        weights = weights * classifier.class_weights_.numpy()[codes]
    regression = LogisticRegression(C=classifier.C, tol=_TOLERANCE, max_iter=_MOST_STEPS)
    # Sums of several threads differ in their last digits from those of one, which a worker has.
    with ONE_BLAS_THREAD:
        regression.fit(values, codes, sample_weight=weights)
        n_steps = int(regression.n_iter_[0])
        if n_steps >= _MOST_STEPS:
            warnings.warn(
                f"the linear head did not converge in {_MOST_STEPS} steps: bring clinical values "
                f"to one scale, as make_clinical_transformer does, or lower C={classifier.C:g}",
                ConvergenceWarning,
                stacklevel=2,
            )
        loss = log_loss(codes, regression.predict_proba(values), sample_weight=weights)
    coefficients, intercepts = regression.coef_, regression.intercept_
    if len(coefficients) == 1:
        # The softmax of two logits is the logistic function of their difference.
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    with torch.no_grad():
        network.head[0].weight.copy_(torch.from_numpy(coefficients))
        network.head[0].bias.copy_(torch.from_numpy(intercepts))
    classifier.history_.new_epoch()
    for name, value in (
        ("epoch", 1),
        ("train_loss", float(loss)),
        ("steps", n_steps),
        ("dur", time.monotonic() - started),
    ):
        classifier.history_.record(name, value)


def _head_inputs(network, dataset):
    """Return what the head reads of each sample, float64, and the codes of the labels."""
    inputs, codes = dataset.gather(range(len(dataset)))
    values = inputs["clinical"]
    if dataset.paths is not None:
        device = next(network.parameters()).device
        parts = (inputs["features"], values, inputs.get("has_image"))
        parts = [None if part is None else part.to(device) for part in parts]
        with torch.no_grad():
            values = torch.cat(network.head_inputs(*parts), dim=1).cpu()
    return values.double().numpy(), codes.numpy()
