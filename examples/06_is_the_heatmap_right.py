"""Heatmaps are measured against boxes, against chance, and against random weights."""

# %% A synthetic cohort, a test bed, of which the boxes of the tumors are known.
import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from skosfusion import GradCAM, localization_scores, make_fusion_pipeline, scale_boxes
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=60)
splitter = GroupShuffleSplit(1, test_size=0.33, random_state=0)
train, test = next(splitter.split(cohort.data, cohort.target, cohort.groups))
tumors = test[cohort.target[test] == 1]


# %% The share of the heatmap inside the box, and whether its peak is.
def measure(pipeline):
    """Give hit rate, share of the energy inside, and chance."""
    new = cohort.data.iloc[tumors]
    boxes = scale_boxes(pipeline, new, cohort.tumor_boxes[tumors])
    scores = localization_scores(GradCAM(pipeline, target=1).transform(new), boxes)
    return scores.hit.mean(), scores.energy_share.mean(), scores.chance.mean()


# %% Models with random weights: a step of 1e-30 leaves the weights as they were drawn. The maps of
# one such model lean to one place and may hit by accident; the mean of many must be near chance.
rates = []
for seed in range(10):
    untrained = make_fusion_pipeline(
        weights=None, frozen_epochs="all", max_epochs=1, lr=1e-30, random_state=seed
    )
    untrained.fit(cohort.data.iloc[train[:40]], cohort.target[train[:40]])
    hit, energy, chance = measure(untrained)
    rates.append(hit)
    print(f"seed {seed}: hit rate {hit:.2f}, energy inside {energy:.2f}, chance {chance:.2f}")
print(f"random weights: mean hit rate {np.mean(rates):.2f}, chance {chance:.2f}")

# %% A model has to do clearly better before its heatmaps are believed. Here only the head has
# learned, on a random encoder; benchmarks/interpretability.py measures a trained one.
trained = make_fusion_pipeline(weights=None, frozen_epochs="all", max_epochs=5, random_state=0)
trained.fit(cohort.data.iloc[train], cohort.target[train])
print(
    "head trained: hit rate {:.2f}, energy inside {:.2f}, chance {:.2f}".format(*measure(trained))
)
