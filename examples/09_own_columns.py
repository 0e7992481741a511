"""A table without a fixed choice of columns, through scikit-learn's own ColumnTransformer."""

# %% Whatever a hospital exports: numbers and texts, with gaps, beside the image.
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skosfusion import FusionClassifier, clinical_gradients, make_clinical_transformer

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)
for i in range(24):
    Image.fromarray(rng.integers(0, 255, (64, 64), np.uint8)).save(folder / f"{i:02d}.png")
table = pd.DataFrame(
    {
        "image": [str(folder / f"{i:02d}.png") for i in range(24)],
        "bmi": rng.normal(24, 4, 24),
        "hb": rng.normal(13, 2, 24),
        "site": rng.choice(["knee", "hip", "shoulder"], 24),
    }
)
table.loc[[2, 7], "hb"] = np.nan
labels = np.where(table["bmi"] + rng.normal(0, 2, 24) > 24, "tumor", "none")

# %% All numbers and all texts, by their type. Two things make it fit: the image passes through
# %% under its own name, and the output is a DataFrame.
numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
texts = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
columns = ColumnTransformer(
    [
        ("image", "passthrough", ["image"]),
        ("numbers", numbers, make_column_selector(dtype_include="number")),
        (
            "texts",
            texts,
            make_column_selector(pattern="^(?!image$)", dtype_include=["str", object]),
        ),
    ],
    verbose_feature_names_out=False,
).set_output(transform="pandas")
classifier = FusionClassifier(
    image_column="image",
    weights=None,
    image_size=64,
    frozen_epochs="all",
    head="linear",
    random_state=0,
)
pipeline = Pipeline([("columns", columns), ("classifier", classifier)]).fit(table, labels)
print(pd.Series(pipeline.predict(table)).value_counts().to_string())
print(clinical_gradients(pipeline, table).feature_names)

# %% Named columns are better off with ours: errors tell column and row, an input can be dropped
# %% with all that was made of it, and the model can be saved.
clinical = make_clinical_transformer(
    gender=None, age=None, kits={}, numbers=["bmi", "hb"], categories=["site"], encoding="spline"
)
pipeline = Pipeline([("clinical", clinical), ("classifier", classifier)]).fit(table, labels)
print(clinical_gradients(pipeline, table).feature_names)
