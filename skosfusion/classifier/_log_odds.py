"""Log-odds of the classes, from the logits and not from probabilities that are rounded to 1."""

import numpy as np
import torch

from ._net import check_finite


def has_log_odds(classifier):
    """Return whether probabilities are the softmax of the logits, so that log-odds exist."""
    fitted = vars(classifier).get("fitted_params_")
    nonlinearity = (fitted or vars(classifier))["predict_nonlinearity"]
    if isinstance(nonlinearity, str) and nonlinearity == "auto":
        return True
    raise AttributeError(
        f"predict_nonlinearity={nonlinearity!r} makes probabilities in its own way, so "
        "there are no log-odds of the logits; use predict_proba, or fit with "
        "predict_nonlinearity='auto'"
    )


def log_odds(logits):
    """Return log-odds of the second of two classes, or log-probabilities of more, float64."""
    logits = logits.detach().to("cpu", torch.float64)
    if logits.shape[1] == 2:
        return (logits[:, 1] - logits[:, 0]).numpy()
    return torch.log_softmax(logits, dim=1).numpy()


def predict_log_odds(classifier, X):
    """Predict the log-odds of all rows, in their order."""
    parts, row = [], 0
    for logits in classifier.forward_iter(X, training=False, device="cpu"):
        check_finite(logits, first_row=row)
        parts.append(log_odds(logits))
        row += len(logits)
    return np.concatenate(parts)
