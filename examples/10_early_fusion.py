"""Early fusion, which the paper rejects: clinical values drawn into the image."""

# %% A synthetic cohort, a test bed.
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline

from skosfusion import ImageEncoder, make_clinical_transformer
from skosfusion.datasets import make_osteosarcoma_cohort
from skosfusion.images import read_image

cohort = make_osteosarcoma_cohort(n_patients=60)
encoder = ImageEncoder(weights=None, image_size=64, random_state=0)

# %% Each value is a bar, as high as the value in terms of its kit's range: nothing is fitted.
clinical = make_clinical_transformer(image=None)
heights = clinical.fit_transform(cohort.data).sub([-0.5, 0, -1, -1]).div([1, 1, 6, 6]).clip(0, 1)
folder = tempfile.TemporaryDirectory()
drawn = cohort.data.copy()
for row, (path, bars) in enumerate(zip(cohort.data["image"], heights.to_numpy(), strict=True)):
    pixels = read_image(path, image_size=64)[0]
    for bar, height in zip(np.split(pixels[-16:], 4, axis=1), bars, strict=True):
        bar[:] = np.where(np.arange(16, 0, -1)[:, None] <= 16 * height, 255, 0)
    drawn.loc[row, "image"] = str(Path(folder.name, f"{row}.png"))
    Image.fromarray(pixels).save(drawn.loc[row, "image"])

# %% The same classifier on features beside values, and on features of the drawn images.
late = make_column_transformer((encoder, ["image"]), (clinical, list(cohort.data.columns)))
early = make_column_transformer((encoder, ["image"]))
folds = StratifiedGroupKFold(3, shuffle=True, random_state=0)
for name, inputs, table in (("late", late, cohort.data), ("early", early, drawn)):
    model = make_pipeline(inputs, LogisticRegression(C=0.1, max_iter=5000))
    options = {"groups": cohort.groups, "cv": folds, "scoring": "neg_log_loss"}
    losses = -cross_val_score(model, table, cohort.target, **options)
    print(f"{name} fusion: log loss {losses.mean():.3f} ± {losses.std():.3f}")
folder.cleanup()
