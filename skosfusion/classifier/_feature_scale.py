"""One scale for all features of a fixed encoder."""

import numpy as np
import torch

from ._dataset import rows_in

# Features are summed up in parts of this many rows.
_ROWS_AT_ONCE = 4096


def scale_features(network, dataset):
    """Let the head see the features less their mean, divided by one number.

    The number is the root of the mean variance of the features; mean and variances are those of the
    training samples with an image, weighted as these are.
    """
    rows = rows_in(dataset, dataset.parts[0])
    rows = np.arange(len(dataset)) if rows is None else rows
    if dataset.has_image is not None:
        rows = rows[dataset.has_image.numpy()[rows]]
    if not len(rows):
        return
    total, mean, squares = 0.0, 0.0, 0.0
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = torch.as_tensor(rows[start : start + _ROWS_AT_ONCE])
        features = dataset.load_images(part)["features"].double().cpu()
        weights = torch.ones(len(part), dtype=torch.float64)
        if dataset.sample_weight is not None:
            weights = dataset.sample_weight[part].double()
        # Means and squares of parts are joined as they come, which keeps their digits.
        part_total = weights.sum()
        part_mean = weights @ features / part_total
        part_squares = weights @ (features - part_mean) ** 2
        total, shift = total + part_total, part_mean - mean
        share = part_total / total
        squares = squares + part_squares + shift**2 * (total - part_total) * share
        mean = mean + shift * share
    scale = float((squares / total).mean().sqrt())
    network.set_feature_scale(mean, scale if scale > 0 else 1.0)
