"""Keep a fitted pipeline in a file that runs nothing, and read it again."""

# %%
# Fit a pipeline to a small synthetic cohort.
import tempfile
from pathlib import Path

import numpy as np

from skosfusion import load_model, make_fusion_pipeline, save_model
from skosfusion.datasets import make_osteosarcoma_cohort
from skosfusion.exceptions import ModelFileError

cohort = make_osteosarcoma_cohort(n_patients=20)
pipeline = make_fusion_pipeline(
    weights=None, frozen_epochs="all", max_epochs=5, batch_size=16, random_state=0, verbose=0
)
pipeline.fit(cohort.data, cohort.target)

# %%
# The file holds the normalization too: the loaded pipeline predicts the same, to the bit.
folder = tempfile.TemporaryDirectory()
path = Path(folder.name, "model.safetensors")
save_model(pipeline, path)
loaded = load_model(path)
same = np.array_equal(loaded.predict_proba(cohort.data), pipeline.predict_proba(cohort.data))
print(f"{path.stat().st_size / 2**20:.0f} MB; predictions are the same: {same}")

# %%
# A damaged file is noticed before anything is built from it.
content = bytearray(path.read_bytes())
content[len(content) // 2] ^= 1
path.write_bytes(content)
try:
    load_model(path)
except ModelFileError as error:
    print(f"refused: {str(error)[-90:]}")
folder.cleanup()
