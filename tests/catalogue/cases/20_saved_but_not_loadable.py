"""save_model writes steps that load_model then refuses (make_column_selector, SplineTransformer), and the error asks to trust a private function of scipy. Expected: a warning at saving, while the model is still there."""
import os, sys, tempfile, warnings
import numpy as np, pandas as pd
warnings.simplefilter("ignore")
HERE = tempfile.mkdtemp()

def done(fault, text):
    print(("FAULT: " if fault else "OK: ") + text)
    sys.exit(1 if fault else 0)

from PIL import Image
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import SplineTransformer
from skosfusion import FusionClassifier, load_model, save_model
rng = np.random.default_rng(0)
rows = []
for i in range(12):
    path = os.path.join(HERE, f"{i}.png")
    Image.fromarray((rng.random((32, 32)) * 255).astype(np.uint8)).save(path)
    rows.append((path, float(i), rng.normal()))
X, y = pd.DataFrame(rows, columns=["image", "age", "alp"]), np.arange(12) % 2
out = {}
for name, step, columns in (("selector", SimpleImputer(), make_column_selector(dtype_include=float)), ("spline", SplineTransformer(n_knots=3), ["age", "alp"])):
    before = ColumnTransformer([("image", "passthrough", ["image"]), ("n", step, columns)], verbose_feature_names_out=False).set_output(transform="pandas")
    net = FusionClassifier(backbone="resnet18", weights=None, image_column="image", image_size=32, max_epochs=1, frozen_epochs="all", batch_size=8, random_state=0, verbose=0)
    path = os.path.join(HERE, name + ".safetensors")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            save_model(Pipeline([("before", before), ("classifier", net)]).fit(X, y), path)
        except (ValueError, TypeError) as error:  # refused when saving, with the types named
            out[name] = f"refused: {error}"
            continue
    try:
        load_model(path)
        out[name] = "loads"
    except OSError as error:
        out[name] = f"{len(seen)} warnings at saving; {error}"
    except ValueError as error:
        out[name] = f"{len(seen)} warnings at saving; {error}"
done(any("not trusted" in v and v.startswith("0") for v in out.values()), str(out))
