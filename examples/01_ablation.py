"""The paper's eight rows are one grid search over "drop"."""

# %% A synthetic cohort of knee radiographs: a test bed, no medical result.
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

from skosfusion import ablation_param_grid, ablation_table, make_fusion_pipeline
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=60)

# %% Folds keep patients together; the encoder is fixed, so each image is encoded once.
search = GridSearchCV(
    make_fusion_pipeline(weights=None, frozen_epochs="all", random_state=0),
    ablation_param_grid(),
    cv=StratifiedGroupKFold(3, shuffle=True, random_state=0),
    scoring=["accuracy", "precision", "recall", "f1"],
    refit=False,
)
search.fit(cohort.data, cohort.target, groups=cohort.groups)

# %% One line for each row of the ablation.
print(ablation_table(search).round(3).to_string())
