"""Where clinical values put the image-only model right, and what both models look at."""

# %% A synthetic cohort, a test bed.
import tempfile
from pathlib import Path

from sklearn.base import clone

from skosfusion import ComparisonDisplay, make_fusion_pipeline
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=60)
improved = make_fusion_pipeline(
    weights=None, frozen_epochs="all", max_epochs=20, batch_size=32, random_state=0
)
inputs = ("gender", "age", "alp", "ldh")
baseline = clone(improved).set_params(**{f"clinical__{name}": "drop" for name in inputs})

# %% Both are fitted on folds that keep patients together, and explain what they have not seen.
comparison = ComparisonDisplay.from_estimators(
    baseline,
    improved,
    cohort.data,
    cohort.target,
    groups=cohort.groups,
    cv=3,
    boxes=cohort.tumor_boxes,
    display_labels=cohort.target_names,
)
frame = comparison.frame()
print(frame[list(comparison.galleries)].sum().to_string())

# %% The paper's galleries; examples are drawn at random, not picked.
folder = Path(tempfile.mkdtemp())
for name, gallery in comparison.galleries.items():
    if len(gallery.rows):
        comparison.plot(name).figure_.savefig(folder / f"{name}.png")
        print(f"written: {name}.png")
