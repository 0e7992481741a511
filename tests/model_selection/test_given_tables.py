"""What `cross_val_scores` is given: spellings of record numbers, sparse tables."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from skosfusion import cross_val_scores
from skosfusion.exceptions import LeakageWarning

Y = np.arange(40) % 2
X = np.random.default_rng(0).normal(size=(40, 3)) + Y[:, None]
ROWS = {"model": {}}


def scored(X=X, groups=None, **options):
    return cross_val_scores(LogisticRegression(), X, Y, ROWS, groups=groups, **options)


def folds(*tests):
    everyone = np.arange(len(Y))
    return [(np.setdiff1d(everyone, test), test) for test in tests]


HALVES = folds(np.arange(20), np.arange(20, 40))


class TestSpellings:
    GROUPS = np.array([f"K{n}" for n in range(40)], dtype=object)

    @pytest.mark.parametrize("pair", [("7", "7 "), ("a-1", "A 1"), ("007", "7")])
    def test_one_patient_in_two_spellings_on_both_sides_is_warned_of(self, pair):
        groups = self.GROUPS.copy()
        groups[[0, 30]] = pair
        with pytest.warns(LeakageWarning, match="same but for spelling.*1 pair") as caught:
            scored(groups=groups, cv=HALVES)
        assert caught[0].filename == __file__
        assert "write the record number in one way in groups" in str(caught[0].message)

    def test_on_one_side_of_each_fold_they_do_no_harm(self):
        groups = self.GROUPS.copy()
        groups[[0, 1]] = "7", "7 "
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            scored(groups=groups, cv=HALVES)


class TestSparse:
    @pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil"])
    def test_scores_are_those_of_the_dense_table(self, form, tmp_path):
        table = sparse.csr_array(X).asformat(form)
        found = scored(table, cv=HALVES, folder=tmp_path)
        dense = scored(cv=HALVES)
        np.testing.assert_allclose(found.scores["model"], dense.scores["model"], rtol=1e-6)
        seen = []
        again = scored(table, cv=HALVES, folder=tmp_path, progress=lambda *n: seen.append(n))
        assert not seen
        np.testing.assert_array_equal(again.scores["model"], found.scores["model"])

    def test_another_table_has_other_files(self, tmp_path):
        scored(sparse.csr_array(X), cv=HALVES, folder=tmp_path)
        seen = []
        scored(
            sparse.csr_array(X + 1), cv=HALVES, folder=tmp_path, progress=lambda *n: seen.append(n)
        )
        assert len(seen) == 2
