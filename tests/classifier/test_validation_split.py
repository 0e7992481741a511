import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.model_selection import KFold, StratifiedGroupKFold
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch.utils.data import Subset

from skosfusion.classifier._dataset import FusionDataset
from skosfusion.exceptions import LeakageWarning

from .._helpers.clinical import clinical_only


class TestValidationSplit:
    @pytest.mark.parametrize("cv", [4, 0.25])
    def test_patients_stay_together(self, cv, table):
        X, y = table
        groups = np.arange(len(X)) // 4
        parts = {}

        class Parts(Callback):
            def on_train_end(self, net, X=None, **kwargs):
                parts["groups"] = X.groups

            def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
                parts["train"], parts["valid"] = dataset_train.indices, dataset_valid.indices

        split = ValidSplit(cv, stratified=True, random_state=0 if cv < 1 else None)
        clinical_only(train_split=split, callbacks=[Parts()]).fit(X, y, groups=groups)
        assert not set(groups[parts["train"]]) & set(groups[parts["valid"]])
        assert len(parts["train"]) + len(parts["valid"]) == len(X)

    def test_validation_scores_are_recorded_with_string_labels(self, table):
        X, y = table
        classifier = clinical_only(train_split=ValidSplit(4, stratified=True))
        classifier.fit(X, np.array(["no", "yes"])[y])
        assert classifier.history_[-1, "valid_acc"] > 0.8

    @pytest.mark.parametrize("labels", [("no", "yes"), (1, 2)])
    @pytest.mark.parametrize("scoring", ["f1", "average_precision", "roc_auc"])
    def test_scoring_callbacks_agree_with_the_fitted_classifier(self, labels, scoring, table):
        X, y = table
        scored = EpochScoring(scoring, name="scored", lower_is_better=False)
        rows = np.arange(len(X))
        split = ValidSplit([(rows[::2], rows[1::2])])
        classifier = clinical_only(train_split=split, callbacks=[scored], max_epochs=3)
        classifier.fit(X, np.array(labels)[y])
        assert list(classifier.classes_) == list(labels)
        valid = X[1::2]
        metric = {"f1": f1_score, "average_precision": average_precision_score}.get(
            scoring, roc_auc_score
        )
        predicted = (
            classifier.predict(valid) == labels[1]
            if scoring == "f1"
            else classifier.predict_proba(valid)[:, 1]
        )
        expected = metric(y[1::2], predicted)
        np.testing.assert_allclose(classifier.history_[-1, "scored"], expected, rtol=1e-6)

    def test_a_split_given_as_rows_works_with_patients(self, table):
        X, y = table
        rows = np.arange(len(X))
        split = ValidSplit([(rows[:90], rows[90:])])
        clinical_only(train_split=split, max_epochs=1).fit(X, y, groups=rows // 3)

    @pytest.mark.filterwarnings("ignore:The groups parameter is ignored by KFold")
    def test_a_splitter_that_parts_patients_is_refused_by_name(self, table):
        X, y = table
        groups = np.char.add("patient ", (np.arange(len(X)) // 3).astype(str))
        classifier = clinical_only(train_split=ValidSplit(KFold(4, shuffle=True, random_state=0)))
        with pytest.raises(ValueError, match=r"patients are in both parts.*'patient \d+'"):
            classifier.fit(X, y, groups=groups)
        with pytest.raises(NotFittedError):
            classifier.predict(X)

    def test_a_refused_split_leaves_the_last_fit_to_partial_fit(self, table):
        X, y = table
        classifier = clinical_only(max_epochs=1).fit(X, y)
        before = classifier.predict_proba(X)
        rows = np.arange(len(X))
        classifier.train_split = ValidSplit([(rows[::2], rows[1::2])])
        with pytest.raises(ValueError, match="both parts"):
            classifier.partial_fit(X, y, groups=rows // 2)
        np.testing.assert_array_equal(classifier.predict_proba(X), before)

    def test_a_function_that_parts_patients_is_refused(self, table):
        X, y = table

        def split(dataset, y):
            return Subset(dataset, range(0, 120, 2)), Subset(dataset, range(1, 120, 2))

        with pytest.raises(ValueError, match="60 patients are in both parts"):
            clinical_only(train_split=split).fit(X, y, groups=np.arange(len(X)) // 2)

    def test_a_splitter_that_keeps_groups_together_is_taken(self, table):
        X, y = table
        split = ValidSplit(StratifiedGroupKFold(4))
        clinical_only(train_split=split, max_epochs=1).fit(X, y, groups=np.arange(len(X)) // 3)

    def test_data_set_aside_by_the_user_is_taken(self, table):
        X, y = table
        aside = FusionDataset(X[:20], y[:20])
        split = predefined_split(aside)
        clinical_only(train_split=split, max_epochs=1).fit(X, y, groups=np.arange(len(X)))

    def test_a_class_that_would_not_be_trained_is_refused(self, table):
        X, y = table
        rows = np.r_[np.flatnonzero(y == 0), np.flatnonzero(y == 1)]
        split = ValidSplit([(np.arange(50), np.arange(50, 120))])
        with pytest.raises(ValueError, match="no sample of class number 1 to train on"):
            clinical_only(train_split=split).fit(X[rows], y[rows])

    def test_samples_of_weight_zero_are_on_no_side(self, table):
        X, y = table
        seen = []

        class Parts(Callback):
            def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
                seen.append((dataset_train.indices, dataset_valid.indices))

        weights = np.arange(len(X)) % 2
        split = ValidSplit(4, stratified=True)
        for groups in (None, np.arange(len(X)) // 4):
            classifier = clinical_only(train_split=split, callbacks=[Parts()], max_epochs=1)
            classifier.fit(X, y, sample_weight=weights, groups=groups)
            train, valid = seen.pop()
            assert len(train) + len(valid) == 60
        assert (np.r_[train, valid] % 2 == 1).all()

    def test_a_split_of_samples_that_have_a_weight_counts_those(self, table):
        X, _ = table
        rows = np.arange(len(X))
        y = np.where(rows < 60, rows >= 40, rows % 2)  # the first 60 have no weight
        split = ValidSplit([(rows[:40], rows[40:60])])
        classifier = clinical_only(train_split=split, max_epochs=1)
        classifier.fit(X, y, sample_weight=rows >= 60)
        assert len(classifier.history_) == 1

    def test_a_share_is_the_same_each_time(self, table):
        X, y = table
        split = ValidSplit(0.25, random_state=0)
        classifier = clinical_only(train_split=split, max_epochs=1)
        losses = [
            classifier.fit(X, y, groups=np.arange(len(X)) // 4).history_[-1, "valid_loss"]
            for _ in range(2)
        ]
        assert losses[0] == losses[1]

    def test_images_of_unknown_patients_are_warned_of(self, classifier, frame, target):
        classifier.set_params(train_split=ValidSplit(4, stratified=True), max_epochs=1)
        with pytest.warns(LeakageWarning, match="does not know the patients"):
            classifier.fit(frame, target)

    @pytest.mark.parametrize("missing", [None, np.nan])
    def test_a_sample_without_patient_is_refused_with_its_row(self, missing, table):
        X, y = table
        groups = np.full(len(X), "p", dtype=object)
        groups[7] = missing
        with pytest.raises(ValueError, match=r"no patient in 1 of 120 rows, the first is row 7"):
            clinical_only().fit(X, y, groups=groups)

    def test_images_work_with_a_validation_split(self, classifier, cohort, frame, target):
        classifier.set_params(train_split=ValidSplit(4, stratified=True), frozen_epochs=1)
        classifier.fit(frame, target, groups=cohort["patient_id"])
        assert np.isfinite(classifier.history_[:, "valid_loss"]).all()
