"""Abstain where the model is unsure: sets that hold the right label for 9 patients in 10."""

# %% A synthetic cohort, a test bed. Patients are divided, not images: some train the model, some
# %% say how sure it must be, and the rest are new to both.
import numpy as np
from crepes import ConformalClassifier
from crepes.extras import hinge
from scipy.special import expit
from sklearn.model_selection import GroupShuffleSplit

from skosfusion import make_fusion_pipeline, patient_scores
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=160, image_size=64)
labels = dict(zip(cohort.groups, cohort.target, strict=True))


def divide(rows, share):
    """Divide rows so that no patient is on both sides."""
    splitter = GroupShuffleSplit(1, test_size=share, random_state=0)
    first, second = next(splitter.split(rows, groups=cohort.groups[rows]))
    return rows[first], rows[second]


train, rest = divide(np.arange(len(cohort.data)), 0.6)
calibration, test = divide(rest, 0.5)
pipeline = make_fusion_pipeline(
    recipe="robust", weights=None, image_size=64, random_state=0, verbose=0
)
pipeline.fit(cohort.data.iloc[train], cohort.target[train])


# %% One score a patient: guarantees are for patients, since images of one resemble each other.
def by_patient(rows):
    """Return the probabilities and the label of each patient."""
    log_odds = pipeline.decision_function(cohort.data.iloc[rows])
    patients, scores = patient_scores(log_odds, cohort.groups[rows])
    return np.column_stack([expit(-scores), expit(scores)]), np.array([labels[p] for p in patients])


# %% Split conformal prediction (Vovk et al. 2005), by the library crepes. The sets are right for
# %% 90 % of new patients of the same kind, whatever the model is worth; a poor one abstains often.
classes = np.array([0, 1])
probabilities, truth = by_patient(calibration)
conformal = ConformalClassifier().fit(hinge(probabilities, classes, truth))
probabilities, truth = by_patient(test)
sets = conformal.predict_set(hinge(probabilities), confidence=0.9, smoothing=False).astype(bool)

# %% What a clinic would see: a label, both (a person must look), or none (unlike any in training).
is_right = sets[np.arange(len(truth)), truth]
sizes = sets.sum(axis=1)
print(f"{len(truth)} new patients; the set holds the right label for {is_right.mean():.0%}")
print(f"one label: {(sizes == 1).sum()}, of which {is_right[sizes == 1].mean():.0%} are right")
print(f"both, so a person must look: {(sizes == 2).sum()}; none: {(sizes == 0).sum()}")
