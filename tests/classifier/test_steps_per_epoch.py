import numpy as np
import pytest
from sklearn.base import clone

from skosfusion.classifier._dataset import ShuffledBatches

from .._helpers.clinical import clinical_only


def batches(n_samples, batch_size, n_batches, epoch=1):
    return list(ShuffledBatches(n_samples, batch_size, 0, lambda: epoch, n_batches=n_batches))


def test_rows_come_round_as_often_as_it_takes():
    found = batches(10, 4, 7)
    assert [len(batch) for batch in found] == [4, 4, 2, 4, 4, 2, 4]
    assert sorted(np.concatenate(found[:3])) == list(range(10))
    assert sorted(np.concatenate(found[3:6])) == list(range(10))
    assert np.concatenate(found[:3]).tolist() != np.concatenate(found[3:6]).tolist()


def test_an_epoch_may_be_shorter_than_the_data():
    assert [len(batch) for batch in batches(100, 10, 3)] == [10, 10, 10]


def test_without_it_every_row_comes_once():
    found = batches(11, 5, None)
    assert sorted(np.concatenate(found)) == list(range(11))
    assert [len(batch) for batch in found] == [5, 6]


@pytest.mark.parametrize("n_rows", [40, 120])
def test_training_is_as_long_with_few_rows_as_with_many(n_rows, table):
    X, y = table
    fitted = clinical_only(steps_per_epoch=6, max_epochs=3, batch_size=32).fit(
        X[:n_rows], y[:n_rows]
    )
    assert [len(epoch["batches"]) for epoch in fitted.history_] == [6, 6, 6]


def test_as_many_steps_as_batches_is_the_usual_epoch(table):
    usual = clinical_only(batch_size=32)
    same = clone(usual).set_params(steps_per_epoch=4)
    probabilities = [one.fit(*table).predict_proba(table[0]) for one in (usual, same)]
    np.testing.assert_array_equal(*probabilities)


def test_the_batches_of_a_sampler_are_not_counted_twice(table):
    from torch.utils.data import RandomSampler

    net = clinical_only(steps_per_epoch=4, iterator_train__sampler=RandomSampler(range(120)))
    with pytest.raises(ValueError, match="steps_per_epoch=4 and iterator_train__sampler"):
        net.fit(*table)
