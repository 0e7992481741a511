"""A smooth curve through points: local straight lines."""

import numpy as np

_SHARE = 0.75


def lowess(x, y, at, share=_SHARE):
    """Return Cleveland's smooth curve at the places given, without his robust steps.

    At each place a straight line is fitted to the nearest `share` of the points with tricube
    weights. Labels are 0 or 1, so that no point is an outlier and the robust steps would harm.
    """
    n_near = min(max(int(np.ceil(share * len(x))), 2), len(x))
    curve = np.empty(len(at))
    for number, place in enumerate(at):
        distance = np.abs(x - place)
        reach = np.partition(distance, n_near - 1)[n_near - 1]
        # Where all near points lie in one place, their mean is the curve.
        weights = (1 - np.clip(distance / reach, 0, 1) ** 3) ** 3 if reach else distance == 0
        weights = weights / weights.sum()
        center, mean = weights @ x, weights @ y
        spread = weights @ (x - center) ** 2
        slope = weights @ ((x - center) * (y - mean)) / spread if spread > 1e-15 else 0.0
        curve[number] = mean + slope * (place - center)
    return curve
