import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.dataset import ValidSplit
from torch import nn

from skosfusion import GradCAM, clinical_gradients
from skosfusion.images import shared_image_store

from .._helpers import tiny


@pytest.fixture
def table(cohort):
    """Every third row lacks its image, one as None, the others as NaN."""
    table = cohort[["image", "age", "alp"]].assign(age=cohort["age"] / 100, alp=cohort["alp"] / 100)
    table["image"] = table["image"].astype(object)
    table.loc[::3, "image"] = np.nan
    table.loc[3, "image"] = None
    return table


@pytest.fixture
def target(cohort):
    return cohort["diagnosis"].to_numpy()


@pytest.fixture
def declared(classifier):
    return classifier.set_params(missing_images="zero")


def test_undeclared_they_are_refused_with_count_row_and_remedy(classifier, table, target):
    with pytest.raises(
        ValueError, match=r"no image in 16 of 48 rows.*row 0.*missing_images='zero'"
    ):
        classifier.fit(table, target)


def test_undeclared_they_are_refused_in_predict(classifier, cohort, table, target):
    classifier.fit(table.assign(image=cohort["image"]), target)
    with pytest.raises(ValueError, match="no image in 16 of 48 rows"):
        classifier.predict(table)


@pytest.mark.parametrize("frozen_epochs", [0, 1, "all"])
def test_declared_they_train_and_predict(declared, table, target, frozen_epochs):
    declared.set_params(frozen_epochs=frozen_epochs)
    together = declared.fit(table, target).predict_proba(table)
    assert np.isfinite(together).all()
    alone = np.vstack([declared.predict_proba(table[i : i + 1]) for i in range(len(table))])
    np.testing.assert_array_equal(alone, together)


def test_a_row_without_image_is_decided_by_its_clinical_values(declared, table, target):
    declared.fit(table, target)
    head = declared.module_.head
    clinical = torch.tensor(table[["age", "alp"]].iloc[:1].to_numpy(np.float32))
    with torch.no_grad():
        logits = head(torch.cat([torch.zeros(1, declared.module_.n_features), clinical], 1))
    expected = logits.softmax(1).numpy()
    np.testing.assert_allclose(declared.predict_proba(table[:1]), expected, rtol=1e-5)


def test_training_sees_the_same_of_a_missing_image_as_prediction(declared, table, target):
    module = declared.fit(table, target).module_.eval()
    clinical, black = torch.ones(2, 2), torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    with torch.no_grad():
        seen = module(clinical, image=black, has_image=torch.tensor([True, False]))
        features = torch.cat([module.encode(black[:1]), torch.zeros(1, module.n_features)])
        torch.testing.assert_close(seen, module(clinical, features=features))


@pytest.mark.parametrize("frozen_epochs", [0, "all"])
def test_rows_with_an_image_do_not_depend_on_rows_without(
    declared, table, target, frozen_epochs, monkeypatch
):
    declared.set_params(frozen_epochs=frozen_epochs)
    first = clone(declared).fit(table, target).predict_proba(table)
    batches = []
    original = tiny.TinyEncoder.forward

    def forward(self, images):
        batches.append(len(images))
        return original(self, images)

    monkeypatch.setattr(tiny.TinyEncoder, "forward", forward)
    shared_image_store().clear()
    again = clone(declared).set_params(batch_size=-1).fit(table, target)
    if frozen_epochs == 0:
        assert set(batches[1:4]) == {32}  # black pictures would count in batch normalisation
    assert again.predict_proba(table).shape == first.shape


def test_all_missing_are_refused_in_fit_and_taken_in_predict(declared, table, target):
    none = table.assign(image=None)
    with pytest.raises(ValueError, match="no image in any of 48 rows"):
        declared.fit(none, target)
    assert np.isfinite(declared.fit(table, target).predict_proba(none)).all()


def test_a_bad_image_is_named_with_the_row_of_the_table(declared, table, target):
    table.loc[46, "image"] = "/nowhere/knee.png"
    for frozen_epochs in (0, "all"):
        with pytest.raises(FileNotFoundError, match="row 46"):
            declared.set_params(frozen_epochs=frozen_epochs).fit(table, target)


def test_a_batch_without_any_image_trains(declared, table, target):
    declared.set_params(batch_size=8, iterator_train__shuffle=False)
    table.loc[:15, "image"] = None
    assert np.isfinite(declared.fit(table, target).predict_proba(table)).all()


def test_pictures_held_by_an_accelerator_know_which_are_missing(
    declared, table, target, monkeypatch
):
    usual = clone(declared).fit(table, target).predict_proba(table)
    monkeypatch.setattr(
        "skosfusion.classifier._image_inputs.free_accelerator_bytes", lambda d: 2**40
    )
    np.testing.assert_array_equal(declared.fit(table, target).predict_proba(table), usual)


def test_an_inner_split_works(declared, table, target, cohort):
    declared.set_params(train_split=ValidSplit(4, stratified=True))
    declared.fit(table, target, groups=cohort["patient_id"])
    assert np.isfinite(declared.history_[:, "valid_loss"]).all()


def test_there_is_no_heatmap_of_a_missing_image(declared, table, target):
    declared.fit(table, target)
    with pytest.raises(ValueError, match="row 0 has no image to show"):
        GradCAM(declared).fit_transform(table)
    assert GradCAM(declared).fit_transform(table[1:3]).shape == (2, 32, 32)


def test_gradients_of_clinical_values_need_no_image(declared, table, target):
    declared.fit(table, target)
    assert np.isfinite(clinical_gradients(declared, table).importances).all()


def test_the_pipeline_lets_missing_images_through(pipeline, cohort, table, target):
    pipeline.set_params(classifier__missing_images="zero")
    frame = cohort.assign(image=table["image"])
    assert np.isfinite(pipeline.fit(frame, target).predict_proba(frame)).all()


class NormEncoder(tiny.TinyEncoder):
    """Normalizes over the batch alone."""

    def __init__(self):
        super().__init__()
        self.last = nn.BatchNorm1d(8)

    def forward(self, images):
        return self.last(super().forward(images))


def test_one_image_in_a_batch_trains_by_running_statistics(classifier, frame, target):
    lone = frame.astype({"image": object})
    lone.loc[1:, "image"] = None
    params = {"backbone": NormEncoder, "missing_images": "zero", "frozen_epochs": 0}
    fitted = classifier.set_params(**params).fit(lone, target)
    assert np.isfinite(fitted.predict_proba(frame)).all()
    # It counts in no statistics, and trains all the same.
    assert torch.equal(fitted.module_.encoder.last.running_mean, torch.zeros(8))
    torch.manual_seed(0)
    fresh = NormEncoder()
    assert not torch.equal(fitted.module_.encoder.last.weight, fresh.last.weight)


def test_batches_of_one_row_are_explained(classifier, frame, target):
    params = {"backbone": NormEncoder, "batch_size": 1, "frozen_epochs": 0}
    with pytest.raises(ValueError, match=r"cannot train on one row.*batch_size=1: take at least 2"):
        classifier.set_params(**params).fit(frame, target)


def test_images_in_rows_of_weight_0_alone_are_refused(classifier, table, target):
    table.loc[:39, "image"] = None
    weights = np.where(np.arange(len(table)) < 40, 1.0, 0.0)
    params = {"missing_images": "zero", "frozen_epochs": "all"}
    with pytest.raises(ValueError, match="no image in any row whose sample_weight is above 0"):
        classifier.set_params(**params).fit(table, target, sample_weight=weights)
