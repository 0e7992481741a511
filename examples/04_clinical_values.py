"""What the clinical values do to the score, and what each kind of input is worth."""

# %% A synthetic cohort, a test bed; a third of the patients is held out.
import tempfile
from pathlib import Path

import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from skosfusion import (
    ClinicalGradientsDisplay,
    clinical_gradients,
    make_fusion_pipeline,
    modality_importance,
)
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=60)
splitter = GroupShuffleSplit(1, test_size=0.33, random_state=0)
train, test = next(splitter.split(cohort.data, cohort.target, cohort.groups))
pipeline = make_fusion_pipeline(
    weights=None, frozen_epochs="all", max_epochs=20, batch_size=32, random_state=0
)
pipeline.fit(cohort.data.iloc[train], cohort.target[train])
new, labels, patients = cohort.data.iloc[test], cohort.target[test], cohort.groups[test]

# %% Derivatives of the logit with respect to each normalized value, row by row.
result = clinical_gradients(pipeline, new, target=1)
print(pd.DataFrame(result.importances, columns=result.feature_names).describe().round(3))
print(f"ALP : LDH {result.ratios.loc['alp', 'ldh']:.2f} (the paper, on private data: 2.415)")

# %% As a figure.
display = ClinicalGradientsDisplay.from_estimator(
    pipeline, new, target=1, display_label="osteosarcoma"
)
figure = Path(tempfile.mkdtemp()) / "gradients.png"
display.plot().figure_.savefig(figure)
print(f"written: {figure.name}")

# %% Accuracy lost when a whole kind of input goes to another patient.
importance = modality_importance(pipeline, new, labels, groups=patients, random_state=0)
print(f"accuracy with everything in place: {importance.score:.3f}")
for name, mean, std in zip(
    importance.modality_names, importance.importances_mean, importance.importances_std, strict=True
):
    print(f"without its own {name}: {mean:+.3f} ± {std:.3f} lost")
