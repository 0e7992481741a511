"""One's own tables: an image table and a clinical table, joined by record number."""

# %% Two tables as a hospital exports them: other column names, a kit a row, a missing value.
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from skosfusion import make_clinical_transformer, make_fusion_pipeline
from skosfusion.datasets import TargetColumn, load_cohort

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
for i in range(12):
    Image.fromarray(rng.integers(0, 255, (240, 240), np.uint8)).save(folder / f"{i:02d}.png")
images = pd.DataFrame(
    {
        "file": [f"{i:02d}.png" for i in range(12)],
        "record": [f"00{i // 2}" for i in range(12)],
        "finding": ["osteosarcoma", "osteosarcoma", "meniscus tear", "meniscus tear"] * 3,
    }
)
records = pd.DataFrame(
    {
        "record": [f"00{i}" for i in range(6)],
        "sex": ["F", "male", "M", "female", "f", "m"],
        "age": [12, 45, 15, 33, 17, 51],
        "ALP": ["310", "88", "402", "n.d.", "255", "97"],
        "ALP from": [40, 40, 45, 45, 40, 30],
        "ALP to": [129, 129, 125, 125, 129, 120],
    }
)
images.to_csv(folder / "images.csv", index=False)
records.to_csv(folder / "records.csv", index=False)

# %% Each column is declared once, the join is validated, text that means "missing" is named.
cohort = load_cohort(
    folder / "images.csv",
    folder / "records.csv",
    columns={
        "image": "file",
        "patient_id": "record",
        "gender": "sex",
        "alp": ("ALP", "ALP from", "ALP to"),
        "target": TargetColumn("finding", positive="osteosarcoma"),
    },
    na_values=["n.d."],
)
print(cohort.data.drop(columns="image").to_string())

# %% Normalized values, missing ones imputed from the training rows and marked.
clinical = make_clinical_transformer(kits=cohort.kits, missing="indicator")
print(clinical.fit_transform(cohort.data).drop(columns="image").round(2).to_string())

# %% The same transformer in the pipeline.
pipeline = make_fusion_pipeline(
    clinical=clinical, weights=None, frozen_epochs="all", max_epochs=5, random_state=0
)
pipeline.fit(cohort.data, cohort.target)
print(pipeline.predict_proba(cohort.data)[:4].round(3))
