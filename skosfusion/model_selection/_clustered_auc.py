"""The area under the ROC curve, and its standard error where a patient has several images."""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata


class ClusteredAUC(NamedTuple):
    """An AUC with its standard error."""

    auc: float
    standard_error: float


def clustered_auc(is_positive, score, patient):
    """Return the AUC of images and its standard error by patient (Obuchowski 1997).

    `patient` holds codes. The standard error is NaN where a class has one patient only.
    """
    n, m = int(is_positive.sum()), int((~is_positive).sum())
    # Share of the other class that each image is above, ties counting half.
    above = rankdata(score)
    above[is_positive] = (above[is_positive] - rankdata(score[is_positive])) / m
    above[~is_positive] = 1 - (above[~is_positive] - rankdata(score[~is_positive])) / n
    auc = float(above[is_positive].mean())

    _, patient = np.unique(patient, return_inverse=True)
    deviation = above - auc
    of_positives = np.bincount(patient, deviation * is_positive)
    of_negatives = np.bincount(patient, deviation * ~is_positive)
    n_positive = len(np.unique(patient[is_positive]))
    n_negative = len(np.unique(patient[~is_positive]))
    n_patients = len(of_positives)
    if min(n_positive, n_negative) < 2:
        return ClusteredAUC(auc, np.nan)
    variance = (
        n_positive / (n_positive - 1) * np.sum(of_positives**2) / n**2
        + n_negative / (n_negative - 1) * np.sum(of_negatives**2) / m**2
        + 2 * n_patients / (n_patients - 1) * np.sum(of_positives * of_negatives) / (n * m)
    )
    return ClusteredAUC(auc, float(np.sqrt(max(variance, 0.0))))
