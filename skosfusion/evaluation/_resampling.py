"""How often each patient is drawn in each replicate of the bootstrap."""

import numpy as np
from sklearn.utils import check_random_state

# Counts of a block stay near the processor: 4 MiB.
_BLOCK = 2**20


class Draws:
    """Counts of patients, drawn with replacement among those with the same set of labels.

    A replicate does not depend on the size of blocks, nor on the order of images and the names of
    patients and folds.
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
    """Order patients by what is known of them but names: labels, images, scores and folds."""
    keys = [kinds, *_content(images, images.patient, images.n_patients)]
    for fold in images.fold.T:
        content = _content(images, fold, fold.max() + 1)
        place = np.argsort(np.lexsort(content[::-1]))
        of_patient = np.empty(images.n_patients, int)
        of_patient[images.patient] = place[fold]
        keys.append(of_patient)
    return np.lexsort(keys[::-1])


def _content(images, codes, n):
    """Return numbers that tell patients, or folds, apart whatever the order of their images."""
    keys = [np.bincount(codes, minlength=n), np.bincount(codes, images.y, n)]
    for _, score in sorted(images.scores.items()):
        for column in score.reshape(len(score), -1).T:
            # Added up from the lowest on, so that rounding is the same in any order.
            order = np.argsort(column, kind="stable")
            with np.errstate(over="ignore"):
                powers = [column[order] ** power for power in (1, 2, 3, 4)]
            keys += [np.bincount(codes[order], part, n) for part in powers]
    return keys
