import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skosfusion import load_model, save_model
from skosfusion.classifier._random import draws_random_numbers
from skosfusion.network import FusionNetwork

from .._helpers.clinical import clinical_only


class OwnNetwork(FusionNetwork):
    """Knows nothing of a dropout."""

    def __init__(self, n_clinical, n_classes, *, backbone, encoder_state, hidden_units, **scale):
        if "head_dropout" in scale:
            raise TypeError("there is no head_dropout")
        super().__init__(n_clinical, n_classes, backbone=backbone, hidden_units=hidden_units)


@pytest.fixture
def dropping():
    return clinical_only(max_epochs=2, hidden_units=32, head_dropout=0.5)


def weights_of(classifier):
    return joblib.hash([value.numpy() for value in classifier.module_.state_dict().values()])


def test_the_seed_decides_what_is_left_out(dropping, table):
    weights = [weights_of(clone(dropping).fit(*table)) for _ in range(2)]
    assert weights[0] == weights[1]
    assert weights[0] != weights_of(clone(dropping).set_params(head_dropout=0.4).fit(*table))
    assert weights[0] != weights_of(clone(dropping).set_params(random_state=1).fit(*table))


def test_the_callers_random_state_is_put_back(dropping, table):
    before = torch.get_rng_state()
    dropping.fit(*table)
    assert torch.equal(torch.get_rng_state(), before)


def test_0_is_the_network_without_it(dropping, table):
    dropping.set_params(head_dropout=0).fit(*table)
    assert "head_dropout" not in dropping.network_arguments()
    assert not draws_random_numbers(dropping.module_)
    assert not any(isinstance(layer, torch.nn.Dropout) for layer in dropping.module_.head)


def test_a_network_of_ones_own_need_not_know_it(dropping, table):
    own = dropping.set_params(module=OwnNetwork, head_dropout=0.0)
    own.fit(*table)
    with pytest.raises(TypeError, match="head_dropout"):
        own.set_params(head_dropout=0.1).fit(*table)


def test_predictions_leave_nothing_out(dropping, table):
    dropping.fit(*table)
    first = dropping.predict_proba(table[0])
    np.testing.assert_array_equal(dropping.predict_proba(table[0]), first)


@pytest.mark.parametrize("share", [0.5, np.float32(0.25), 0])
def test_model_files_keep_it(share, dropping, table, tmp_path):
    dropping.set_params(head_dropout=share).fit(*table)
    save_model(dropping, tmp_path / "model.skosfusion")
    loaded = load_model(tmp_path / "model.skosfusion")
    assert loaded.head_dropout == share
    assert [layer.p for layer in loaded.module_.head if isinstance(layer, torch.nn.Dropout)] == (
        [share] if share else []
    )
    np.testing.assert_array_equal(loaded.predict_proba(table[0]), dropping.predict_proba(table[0]))


def test_a_search_chooses_among_shares(dropping, table):
    search = GridSearchCV(dropping, {"head_dropout": [0.0, 0.5]}, cv=2, error_score="raise")
    assert len(search.fit(*table).cv_results_["params"]) == 2
