"""Make the model file that every later version must read, and what it predicts.

Run once for each format of files, and keep what the earlier ones made:
``python -m tests.persistence.stored.make_stored_model``.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from skosfusion import make_fusion_pipeline, save_model

from ..._helpers.tiny import TinyEncoder

FOLDER = Path(__file__).parent
IMAGES = ["dark.png", "bright.png"]


def make_table():
    rng = np.random.default_rng(0)
    labels = np.arange(12) % 2
    return pd.DataFrame(
        {
            "image": [str(FOLDER / IMAGES[label]) for label in labels],
            "gender": ["F", "M", "M", None] * 3,
            "age": [10, 20, np.nan, 40, 50, 60] * 2,
            "alp": rng.integers(50, 300, 12) + 100.0 * labels,
            "alp_low": 40.0,
            "alp_high": 130.0,
            "ldh": rng.integers(120, 240, 12) + 1.0,
            "ldh_low": 120.0,
            "ldh_high": 250.0,
        }
    ), np.array(["none", "tumor"])[labels]


def main():
    rng = np.random.default_rng(0)
    for level, name in enumerate(IMAGES):
        pixels = rng.integers(0, 100, (16, 16)) + 100 * level
        Image.fromarray(pixels.astype(np.uint8)).save(FOLDER / name)
    pipeline = make_fusion_pipeline(
        backbone=TinyEncoder,
        weights=None,
        image_size=16,
        hidden_units=8,
        max_epochs=3,
        batch_size=4,
        class_weight="balanced",
        precision="fp32",
        random_state=0,
        device="cpu",
        verbose=0,
    )
    X, y = make_table()
    pipeline.fit(X, y)
    save_model(pipeline, FOLDER / "format_2.safetensors")
    expected = pipeline.predict_proba(X).astype(float).tolist()
    (FOLDER / "format_2.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
