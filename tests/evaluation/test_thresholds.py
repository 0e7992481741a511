import numpy as np

from skosfusion.evaluation._inputs import Units
from skosfusion.evaluation._thresholds import thresholds_of


def test_a_threshold_does_not_look_at_its_own_fold():
    y, fold = np.array([0, 0, 1, 1] * 2), np.repeat([0, 1], 4)
    score = np.array([0.0, 1, 2, 3, 10, 11, 12, 13])[:, None]
    units = Units(y, {"a": score}, fold[:, None], np.arange(8), 8, np.arange(2))
    np.testing.assert_array_equal(
        thresholds_of("youden", units, score)[:, 0], np.repeat([11.5, 1.5], 4)
    )
