import re

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from torch import nn

from skosfusion import FusionClassifier, GradCAM
from skosfusion.exceptions import ImageError

from .._helpers import tiny
from .._helpers.gradcam import Joined


class WithoutGradients(tiny.TinyEncoder):
    def forward(self, images):
        with torch.no_grad():
            return super().forward(images)


class Pooled(tiny.TinyEncoder):
    def __init__(self):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, images):
        return self.pool(self.norm(self.conv(images)))


def test_an_unfitted_estimator_is_refused(classifier, pipeline, cohort):
    for estimator in (classifier, pipeline):
        for act in (GradCAM(estimator).fit, GradCAM(estimator).transform):
            with pytest.raises(NotFittedError, match="not fitted"):
                act(cohort)
        assert not hasattr(GradCAM(estimator), "layer_")


def test_another_kind_of_estimator_is_refused(cohort):
    model = LogisticRegression().fit([[0], [1]], [0, 1])
    with pytest.raises(TypeError, match=r"LogisticRegression.*best_estimator_"):
        GradCAM(model).transform(cohort)
    with pytest.raises(TypeError, match="is a type"):
        GradCAM(FusionClassifier).transform(cohort)


def test_a_model_without_image_branch_is_refused(image_options):
    options = {name: image_options[name] for name in ("max_epochs", "verbose")}
    classifier = FusionClassifier(**options).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match=r"no image branch.*clinical_gradients"):
        GradCAM(classifier).transform([[0.0]])


def test_an_unknown_layer_is_answered_with_the_layers_there_are(fitted):
    classifier, table = fitted
    with pytest.raises(ValueError, match=r"'layer4' is not a layer.*Layers.*: conv, norm$"):
        GradCAM(classifier, layer="layer4").transform(table)
    with pytest.raises(ValueError, match=r"did you mean 'norm'\?"):
        GradCAM(classifier, layer="norms").fit(table)
    with pytest.raises(ValueError, match=r"layer=4 is not a layer"):
        GradCAM(classifier, layer=4).fit(table)


def test_a_layer_without_spatial_extent_is_refused(image_options, cohort):
    options = image_options | {"backbone": Pooled}
    classifier = FusionClassifier(**options).fit(cohort[["image"]], cohort.diagnosis)
    with pytest.raises(ValueError, match=r"'pool' gives values of shape \(1, 8, 1, 1\), without"):
        GradCAM(classifier, layer="pool").fit(cohort)


def test_a_layer_that_does_not_run_is_refused(image_options, cohort):
    options = image_options | {"backbone": Joined}
    classifier = FusionClassifier(**options).fit(cohort[["image"]], cohort.diagnosis)
    classifier.module_.encoder.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(ValueError, match="'unused' gives no tensor, or does not run"):
        GradCAM(classifier, layer="unused").fit(cohort)


def test_an_encoder_that_stops_gradients_is_refused_where_they_are_needed(image_options, cohort):
    table = cohort[["image"]]
    options = image_options | {"backbone": WithoutGradients, "frozen_epochs": "all"}
    classifier = FusionClassifier(**options).fit(table, cohort.diagnosis)
    with pytest.raises(ValueError, match=r"'norm'.*does not let gradients through.*ablationcam"):
        GradCAM(classifier).transform(table)
    assert GradCAM(classifier, method="ablationcam").transform(table).any()


@pytest.mark.parametrize("target", ["tumor", 2, -1, 0.5, float("nan"), {}, [], [0, 1], [[0]]])
def test_an_unknown_target_is_refused(fitted, target):
    classifier, table = fitted
    with pytest.raises(ValueError, match=r"target|classes are 0, 1"):
        GradCAM(classifier, target=target).transform(table)


def test_an_unknown_label_of_a_row_is_named_with_the_row(fitted):
    classifier, table = fitted
    labels = [0] * len(table)
    labels[3] = "tumor"
    with pytest.raises(ValueError, match=r"target='tumor' in row 3 .* its classes are 0, 1"):
        GradCAM(classifier, target=labels).transform(table)


def test_a_class_may_be_called_predicted(image_options, cohort):
    table = cohort[["image"]]
    labels = np.where(cohort.diagnosis == 1, "predicted", "other")
    classifier = FusionClassifier(**image_options).fit(table, labels)
    codes = classifier.classes_.tolist()
    explained = GradCAM(classifier, target="predicted", raw=True).transform(table)
    every = [codes[1]] * len(table)
    expected = GradCAM(classifier, target=every, raw=True).transform(table)
    np.testing.assert_array_equal(explained, expected)


def test_an_unknown_method_is_refused(fitted):
    classifier, table = fitted
    with pytest.raises(ValueError, match=r"method='scorecam'.*'gradcam' or 'gradcam\+\+' or "):
        GradCAM(classifier, method="scorecam").transform(table)


def test_an_empty_or_foreign_table_is_refused(fitted, pipeline, cohort):
    classifier, table = fitted
    with pytest.raises(ValueError, match="0 samples"):
        GradCAM(classifier).transform(table.iloc[:0])
    with pytest.raises(ValueError, match=re.escape("feature names")):
        GradCAM(classifier).transform(table[["image"]])
    with pytest.raises(TypeError, match="DataFrame"):
        GradCAM(classifier).transform([[0.0, 1.0]])
    pipeline.fit(cohort, cohort.diagnosis)
    with pytest.raises(ValueError, match="0 samples"):
        GradCAM(pipeline).transform(cohort.iloc[:0])


def test_a_bad_image_is_named_with_its_row(fitted, tmp_path):
    classifier, table = fitted
    (tmp_path / "bad.png").write_bytes(b"no image")
    table = table.copy()
    table.loc[20, "image"] = str(tmp_path / "bad.png")
    with pytest.raises(ImageError, match="row 20"):
        GradCAM(classifier).transform(table)


def test_values_that_are_not_finite_are_an_error(fitted):
    classifier, table = fitted
    with torch.no_grad():
        classifier.module_.encoder.conv.weight[0, 0, 0, 0] = float("inf")
    with pytest.raises(FloatingPointError, match=r"'norm' .* rows 0 to 15"):
        GradCAM(classifier).transform(table)
