"""How often each patient is drawn in each replicate of the bootstrap."""

import numpy as np
from sklearn.utils import check_random_state

# Counts of a block stay near the processor: 4 MiB.
_BLOCK = 2**20


class Draws:
    """Counts of patients, drawn with replacement among those with the same set of labels.

    A replicate does not depend on the size of blocks, nor on the names and the order of patients.
    """

    def __init__(self, images, n_resamples, random_state):
        labels = np.zeros((images.n_patients, len(images.classes)), bool)
        labels[images.patient, images.y] = True
        kinds = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
        order = _order_of(images, kinds)
        ends = np.flatnonzero(np.diff(kinds[order], append=-1)) + 1
        self.strata = np.split(order, ends[:-1])
        self.n_patients, self.n_resamples = images.n_patients, n_resamples
        self.n_at_once = max(1, _BLOCK // max(len(images.y), 1))
        self._seed = check_random_state(random_state).randint(2**31 - 1)

    def blocks(self):
        """Yield which replicates these are, and their counts: (n_at_once, n_patients)."""
        random = np.random.default_rng(self._seed)
        for start in range(0, self.n_resamples, self.n_at_once):
            replicates = slice(start, min(start + self.n_at_once, self.n_resamples))
            counts = np.empty((replicates.stop - start, self.n_patients), np.int32)
            for row in counts:
                for members in self.strata:
                    drawn = random.integers(len(members), size=len(members))
                    row[members] = np.bincount(drawn, minlength=len(members))
            yield replicates, counts


def _order_of(images, kinds):
    """Order patients by what is known of them but their names: labels, images, scores."""
    keys = [kinds, np.bincount(images.patient, minlength=images.n_patients)]
    for _, score in sorted(images.scores.items()):
        for repeat in score.reshape(len(score), -1).T:
            for extreme, start in ((np.minimum, np.inf), (np.maximum, -np.inf)):
                key = np.full(images.n_patients, start)
                extreme.at(key, images.patient, repeat)
                keys.append(key)
    return np.lexsort(keys[::-1])
