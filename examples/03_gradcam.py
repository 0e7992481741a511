"""A heatmap shows where in the radiograph a fusion model sees its class."""

# %% A synthetic cohort, a test bed; a third of the patients is held out.
import tempfile
from pathlib import Path

import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from skosfusion import GradCAM, GradCAMDisplay, make_fusion_pipeline
from skosfusion.datasets import make_osteosarcoma_cohort

cohort = make_osteosarcoma_cohort(n_patients=30)
splitter = GroupShuffleSplit(1, test_size=0.33, random_state=0)
train, test = next(splitter.split(cohort.data, cohort.target, cohort.groups))
pipeline = make_fusion_pipeline(weights=None, frozen_epochs="all", max_epochs=5, random_state=0)
pipeline.fit(cohort.data.iloc[train], cohort.target[train])

# %% One line: maps in [0, 1], of the size of the image, for the class of one's choice.
new = cohort.data.iloc[test]
heatmaps = GradCAM(pipeline, target=1).transform(new)
print(heatmaps.shape, heatmaps.dtype, heatmaps.min(), heatmaps.max())

# %% Raw maps keep their sign and unit: where the logit of the class comes from, place by place.
raw = GradCAM(pipeline, target=1, raw=True).transform(new)
print(raw.shape, f"from {raw.min():.4f} to {raw.max():.4f}")

# %% Other layers and methods.
for method in ("gradcam", "gradcam++", "hirescam", "ablationcam"):
    other = GradCAM(pipeline, target=1, method=method, raw=True).transform(new[:4])
    agreement = np.corrcoef(other.ravel(), raw[:4].ravel())[0, 1]
    print(f"{method}: correlation with Grad-CAM {agreement:.2f}")
print("layer3:", GradCAM(pipeline, target=1, layer="layer3", raw=True).transform(new[:4]).shape)

# %% A figure, with the box of the tumor where one was drawn.
display = GradCAMDisplay.from_estimator(
    pipeline,
    new[:6],
    cohort.target[test][:6],
    target=1,
    boxes=cohort.tumor_boxes[test][:6],
    display_labels=cohort.target_names,
)
print(display.frame().to_string())
figure = Path(tempfile.mkdtemp()) / "heatmaps.png"
display.plot().figure_.savefig(figure)
print(f"written: {figure.name}")
