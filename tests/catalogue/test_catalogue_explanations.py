"""Cases 85 and 117 to 120 of the catalogue: rows of the ablation, and explanations."""

import functools
import os
import types

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn
from torchvision.models import VisionTransformer

from skosfusion import (
    AblationDisplay,
    FusionClassifier,
    GradCAM,
    GradCAMDisplay,
    ablation_param_grid,
    ablation_table,
    make_fusion_pipeline,
    modality_importance,
)
from skosfusion.network import FusionNetwork, build_encoder

from .._helpers import tiny
from .conftest import OPTIONS

mpl.use("Agg")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# 85: rows of the ablation

ROWS = {"Baseline": (), "Age": ("age",), "All": ("gender", "age")}


@pytest.fixture
def search(cohort):
    """Search the rows in a pipeline of which some inputs are off."""

    def run(refit=True, **state):
        pipeline = make_fusion_pipeline(**OPTIONS, frozen_epochs="all").set_params(**state)
        grid = ablation_param_grid(ROWS)
        found = GridSearchCV(pipeline, grid, cv=StratifiedGroupKFold(2), refit=refit)
        return found.fit(cohort, cohort["diagnosis"], groups=cohort["patient_id"])

    return run


@pytest.mark.parametrize("refit", [True, False])
def test_case_85_row_that_lacks_an_input(search, refit):
    """A row of the ablation that names an input already "drop" in the pipeline: ValueError."""
    found = search(refit, clinical__age="drop")
    with pytest.raises(
        ValueError, match=r"'Age' uses 'age', which is 'drop'.*make_fusion_pipeline"
    ):
        ablation_table(found, ROWS)
    with pytest.raises(ValueError, match="'Age' uses 'age'"):
        AblationDisplay.from_cv_results(found, ablations=ROWS)
    with pytest.raises(ValueError, match="'Age' uses 'age'"):
        ablation_table(found.cv_results_, ROWS, estimator=found.estimator)
    with pytest.raises(ValueError, match="'Age' uses 'age'"):
        ablation_param_grid(ROWS, estimator=found.estimator)


def test_case_85_remedies_work(search):
    """The remedies, followed: a new pipeline, or ablations without the input."""
    assert len(ablation_param_grid(ROWS, estimator=make_fusion_pipeline())) == 3
    rows = {"Baseline": (), "Gender": ("gender",)}
    off = make_fusion_pipeline(**OPTIONS).set_params(clinical__age="drop")
    assert len(ablation_param_grid(rows, estimator=off)) == 2
    table = ablation_table(search(), ROWS)
    assert table["inputs"].tolist() == ["alp, ldh", "age, alp, ldh", "gender, age, alp, ldh"]


def test_case_85_pipeline_changed_after_the_search(search):
    """A pipeline that is changed after the search: the rows are those that were searched."""
    found = search(clinical__alp="drop", clinical__ldh="drop")
    expected = ablation_table(found, ROWS)
    assert expected["inputs"].tolist() == ["none", "age", "gender, age"]
    whole = make_fusion_pipeline(**OPTIONS)["clinical"].get_params()
    found.estimator.set_params(clinical__alp=whole["alp"])
    pd.testing.assert_frame_equal(ablation_table(found, ROWS), expected)


def test_case_85_input_that_the_pipeline_does_not_have():
    """A row that names an input that the pipeline does not have: ValueError with its inputs."""
    with pytest.raises(ValueError, match=r"'A' uses 'ferritin'.*its inputs are 'gender', 'age'"):
        ablation_param_grid({"A": ("ferritin",)}, estimator=make_fusion_pipeline())


# 117, 118: the layer of a heatmap, and its axes


class SmallViT(VisionTransformer):
    def __init__(self, n_layers=2):
        super().__init__(
            image_size=32, patch_size=8, num_layers=n_layers, num_heads=2, hidden_dim=16, mlp_dim=32
        )
        self.heads = nn.Identity()


class OneBlock(SmallViT):
    def __init__(self):
        super().__init__(1)


class ResNet50(nn.Module):
    """At 32 pixels the last convolutions with extent lie inside a branch."""

    def __init__(self):
        super().__init__()
        self.inner = build_encoder("resnet50")

    def forward(self, images):
        return self.inner(images)


def fit(cohort, backbone, **options):
    table = cohort[["image"]].iloc[:16]
    options = OPTIONS | {"frozen_epochs": "all", "max_epochs": 1} | options
    classifier = FusionClassifier(image_column="image", **(options | {"backbone": backbone}))
    return classifier.fit(table, cohort["diagnosis"].iloc[:16]), table


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "hirescam", "ablationcam"])
def test_case_117_vision_transformer(cohort, method):
    """A vision transformer: a map of the tokens that its last block reads, without class token."""
    classifier, table = fit(cohort, SmallViT)
    explain = GradCAM(classifier, method=method, raw=True, target=1)
    assert explain.fit().layer_ == "encoder.layers.encoder_layer_0"
    maps = explain.transform(table)
    assert maps.shape == (16, 4, 4)
    assert np.ptp(maps, axis=(1, 2)).all()


def test_case_117_never_a_patch_embedding(cohort):
    """An encoder whose only map is the patch embedding: ValueError with the layers to choose."""
    classifier, table = fit(cohort, OneBlock)
    with pytest.raises(ValueError, match=r"'conv_proj'.*Choose a layer with layer=") as caught:
        GradCAM(classifier).transform(table)
    chosen = "encoder.layers.encoder_layer_0.ln_1"
    assert chosen in str(caught.value)
    assert GradCAM(classifier, layer=chosen, target=1).transform(table).any()


def test_case_117_never_inside_a_branch(cohort):
    """Small images: the default layer is the last that all features come from, not a branch."""
    classifier, _ = fit(cohort, ResNet50)
    assert GradCAM(classifier).fit().layer_ == "inner.layer3"


class ChannelsLast(nn.Module):
    """As many channels as rows and columns, and the channels last."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)

    def forward(self, images):
        return self.norm(self.conv(images).permute(0, 2, 3, 1)).relu().mean((1, 2))


def test_case_118_axes_of_equal_size(cohort):
    """Channels, rows and columns of equal number: told apart by operations, never by size."""
    classifier, table = fit(cohort, ChannelsLast, precision="fp32")
    raw = GradCAM(classifier, target=1, raw=True, method="hirescam").transform(table)
    network = classifier.module_
    kept = []
    network.encoder.norm.register_forward_hook(lambda *_: kept.append(_[2]) or _[2].clone())
    inputs = next(iter(classifier.input_batches(table, pixels=True)))[0]
    network.requires_grad_(True)
    (gradients,) = torch.autograd.grad(network.eval()(**inputs)[:, 1].sum(), kept[0])
    expected = (gradients * kept[0]).sum(3).detach().numpy()
    np.testing.assert_allclose(raw, expected[:16], rtol=1e-3, atol=1e-6)


class Strips(nn.Module):
    """A feature for each strip of the image, from top to bottom or from left to right."""

    def __init__(self, size):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, size, stride=4)

    def forward(self, images):
        return self.conv(images).square().mean((2, 3))


@pytest.mark.parametrize(("kernel", "shape"), [((32, 4), (1, 8)), ((4, 32), (8, 1))])
def test_case_118_map_of_one_row_or_column(cohort, kernel, shape):
    """A layer whose output has one row or one column: its map has it, too."""
    classifier, table = fit(cohort, functools.partial(Strips, kernel), precision="fp32")
    raw = GradCAM(classifier, raw=True, method="hirescam").transform(table[:3])
    assert raw.shape == (3, *shape)
    assert (np.ptp(raw.reshape(3, 8), axis=1) > 0).all()


# 119: what an encoder returns


def returning(make):
    class Odd(tiny.TinyEncoder):
        def forward(self, images):
            return make(super().forward(images))

    return Odd


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda x: None, r"None \(its forward may lack a return\)"),
        (lambda x: {"last_hidden_state": x}, "a dict with the keys 'last_hidden_state'"),
        (lambda x: (None, x), r"a tuple of 2 \(NoneType, Tensor\)"),
        (lambda x: [], r"a list of 0 \(\)"),
        (lambda x: types.SimpleNamespace(features=x), "a SimpleNamespace"),
        (lambda x: 3.0, "a float"),
        (lambda x: x.to(torch.complex64), "values of torch.complex64"),
    ],
)
def test_case_119_encoder_that_returns_no_tensor(cohort, make, what):
    """An encoder that returns no tensor: TypeError that names what it must return."""
    with pytest.raises(TypeError, match=rf"Odd returned {what}.*\(n_samples, n_features\)"):
        fit(cohort, returning(make))


@pytest.mark.parametrize("make", [lambda x: (x, None), lambda x: [x, None]])
def test_case_119_encoder_of_several_outputs(make):
    """An encoder that returns a tuple or a list, tensor first: the tensor is used."""
    network = FusionNetwork(0, 2, backbone=returning(make), image_size=32).eval()
    assert network.encode(torch.zeros(2, 1, 32, 32, dtype=torch.uint8)).shape == (2, 8)


@pytest.mark.parametrize("make", [lambda x: x.mean(), lambda x: x[:, 0], lambda x: x[:1]])
def test_case_119_encoder_that_mixes_samples(cohort, make):
    """An encoder whose tensor has not one row a sample: ValueError with its shape."""
    with pytest.raises(
        ValueError, match=r"Odd returned (a tensor of shape|1 rows of 8 features for 2)"
    ):
        fit(cohort, returning(make))


def test_case_119_encoder_without_features(cohort):
    """An encoder that returns no features: ValueError."""
    with pytest.raises(ValueError, match="returned 2 rows of 0 features"):
        fit(cohort, returning(lambda x: x[:, :0]))


# 120: captions


def pipeline_before(steps, image_column, cohort, **more):
    """Fit a pipeline whose image column has another name, on files that name a patient."""
    before = ColumnTransformer(steps, **more).set_output(transform="pandas")
    options = OPTIONS | {"frozen_epochs": "all", "max_epochs": 1}
    classifier = FusionClassifier(image_column=image_column, **options)
    return Pipeline([("before", before), ("classifier", classifier)]).fit(
        cohort, cohort["diagnosis"]
    )


IMAGE = ("image", "passthrough", ["image"])
AGE = ("n", StandardScaler(), ["age"])
STEPS = {
    "default names": ([IMAGE, AGE], "image__image"),
    "another step": ([AGE, ("files", FunctionTransformer(), ["image"])], "files__image"),
    "one step for both": ([("all", "passthrough", ["image", "age"])], "all__image"),
    "remainder": ([AGE], "remainder__image"),
}


def with_folder(table):
    """Write each path in another way."""
    return table.map(lambda path: os.path.join(os.path.dirname(path), ".", os.path.basename(path)))


STEPS["paths written anew"] = (
    [AGE, ("files", FunctionTransformer(with_folder), ["image"])],
    "files__image",
)


@pytest.mark.parametrize("case", STEPS)
def test_case_120_image_column_of_any_name(cohort, case):
    """Captions: no paths, whatever the image column is called; other explanations work, too."""
    steps, name = STEPS[case]
    table = cohort[["image", "age", "diagnosis"]]
    more = {"remainder": "passthrough"} if case == "remainder" else {}
    table = table[["image", "age"]].assign(diagnosis=table["diagnosis"])
    if more:
        steps = [*steps, ("label", "drop", ["diagnosis"])]
    model = pipeline_before(steps, name, table, **more)
    captions = GradCAMDisplay.from_estimator(model, table[:2]).frame()["clinical"]
    for age, parts in zip(table["age"], captions, strict=False):
        assert len(parts) == 1
        assert parts[0].endswith(f" {age}")
    found = modality_importance(model, table, table["diagnosis"], n_repeats=1, random_state=0)
    assert found.modality_names == ["image", "clinical"]


def test_case_120_image_column_that_is_renamed_later(cohort):
    """Captions: the image column is known by what it holds after a second step, too."""
    table = cohort[["image", "age", "diagnosis"]]
    before = ColumnTransformer([IMAGE, AGE]).set_output(transform="pandas")
    rename = FunctionTransformer(lambda X: X.rename(columns={"image__image": "file"}))
    options = OPTIONS | {"frozen_epochs": "all", "max_epochs": 1}
    model = Pipeline(
        [
            ("before", before),
            ("rename", rename),
            ("classifier", FusionClassifier(image_column="file", **options)),
        ]
    ).fit(table, table["diagnosis"])
    captions = GradCAMDisplay.from_estimator(model, table[:1]).frame()["clinical"]
    assert captions.iloc[0] == [f"n {table['age'].iloc[0]}"]


def coded(X):
    """Turn whatever is in a table into numbers."""
    return X.apply(lambda column: pd.factorize(column)[0].astype(float))


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        ("patient_id", 4711, None),
        ("patient_id", "Doe, Jane", None),
        ("records__Patient_ID", "Doe, Jane", None),
        ("report", "/home/doe/report.txt", "(text)"),
        ("report", r"C:\reports\doe", "(text)"),
        ("report", "Doe_Jane.dcm", "(text)"),
        ("accession", "ACC-20240017", "(text)"),
        ("born", "1987-03-02", "(text)"),
        ("side", "left", "left"),
        ("alp", "250.5", "250.5"),
        ("smoker", True, "True"),
    ],
)
def test_case_120_paths_and_record_numbers_among_the_inputs(cohort, column, value, shown):
    """Captions: inputs that hold paths, dates or record numbers are not written out."""
    table = cohort[["image", "age", "diagnosis"]].assign(**{column: value})
    steps = [IMAGE, AGE, ("other", FunctionTransformer(coded), [column])]
    model = pipeline_before(steps, "image__image", table)
    display = GradCAMDisplay.from_estimator(model, table[:1]).plot()
    expected = [f"n {table['age'].iloc[0]}"] + ([] if shown is None else [f"other {shown}"])
    assert display.frame()["clinical"].iloc[0] == expected
    caption = display.axes_[0].get_xlabel()
    assert str(value) not in caption or shown == str(value)


def test_case_120_class_names_where_they_are_known(cohort):
    """Captions: labels as they were given, or what `display_labels` calls them."""
    table = cohort[["image"]]
    labels = np.array(["benign", "malignant"])[cohort["diagnosis"]]
    options = OPTIONS | {"frozen_epochs": "all", "max_epochs": 1}
    model = clone(FusionClassifier(image_column="image", **options)).fit(table, labels)
    frame = GradCAMDisplay.from_estimator(model, table[:2], labels[:2], target="benign").frame()
    assert list(frame["target"]) == ["benign"] * 2
    assert list(frame["label"]) == list(labels[:2])
    names = {"display_labels": ["harmless", "cancer"]}
    frame = GradCAMDisplay.from_estimator(model, table[:2], labels[:2], **names).frame()
    assert list(frame["label"]) == [
        "cancer" if label == "malignant" else "harmless" for label in labels[:2]
    ]
