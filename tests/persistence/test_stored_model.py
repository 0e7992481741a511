"""A file that an earlier version wrote: this version reads it, and predicts the same."""

import json

import numpy as np
import pytest

from skosfusion import load_model, save_model
from skosfusion.exceptions import ModelFileError

from .._helpers.clinical import clinical_only
from .._helpers.model_files import rewrite
from .._helpers.tiny import TinyEncoder
from .stored.make_stored_model import FOLDER, make_table


@pytest.mark.filterwarnings("ignore:the model was saved with other versions:UserWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("name", ["format_2"])
def test_a_stored_model_predicts_what_it_did(name):
    X, _ = make_table()
    loaded = load_model(FOLDER / f"{name}.safetensors", trusted=[TinyEncoder])
    expected = json.loads((FOLDER / f"{name}.json").read_text())
    np.testing.assert_allclose(loaded.predict_proba(X), expected, atol=1e-6)
    assert loaded.classes_.tolist() == ["none", "tumor"]
    assert len(loaded["classifier"].history_) == 3


@pytest.mark.parametrize("found", [1, 3, "2", None])
def test_a_file_of_another_format_names_its_version_and_the_remedy(found, table, path):
    save_model(clinical_only(max_epochs=1).fit(*table), path)
    rewrite(path, lambda d, t: d.update(format=found) or d["versions"].update(skosfusion="0.0.7"))
    remedy = rf"'0\.0\.7' in the format {found!r}.*reads the format 2; load it with the version"
    with pytest.raises(ModelFileError, match=remedy):
        load_model(path)
