import pandas as pd
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("L", (8, 6), 40).save(folder / name)
    return folder


@pytest.fixture
def images():
    return pd.DataFrame({"image": ["a.png", "b.png", "c.png"], "patient_id": ["01", "01", "2"]})


@pytest.fixture
def records():
    return pd.DataFrame(
        {
            "patient_id": ["2", "01"],
            "gender": ["F", "M"],
            "age": ["14", "52"],
            "alp": ["300", "90"],
            "alp_low": ["60", "40"],
            "alp_high": ["260", "150"],
            "diagnosis": ["Osteosarcoma, left", "knee injury"],
        }
    )
