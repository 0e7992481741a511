"""What goes together is what the table of `docs/recipe.md` says."""

import itertools
import re
from pathlib import Path

import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit

from .._helpers.clinical import clinical_only

PAGE = Path(__file__).parents[2] / "docs" / "recipe.md"
WAYS = {
    "fixed": {"frozen_epochs": "all"},
    "fixed, then trains": {"frozen_epochs": 1},
    "unfreeze": {"frozen_epochs": 0, "unfreeze": "layer4"},
}


def combinations():
    text = PAGE.read_text().split("## What goes together")[1].split("\n## ")[0]
    for line in re.findall(r"^\| `.*$", text, re.MULTILINE):
        head, fusion, scaling, *cells = [cell.strip(' `"') for cell in line.strip("|").split("|")]
        params = {"head": head, "fusion": fusion}
        params["feature_scaling"] = None if scaling == "None" else scaling
        for way, cell in zip(WAYS, cells, strict=True):
            yield pytest.param(
                params | WAYS[way], cell == "yes", id=f"{head} {fusion} {scaling} {way}"
            )


def test_the_table_is_whole():
    tables = [
        tuple(p.values[0][n] for n in ("head", "fusion", "feature_scaling")) for p in combinations()
    ]
    expected = itertools.product(("mlp", "linear"), ("concat", "gated"), (None, "global"))
    assert set(tables) == set(expected)
    assert len(tables) == 3 * 8


@pytest.mark.parametrize(("params", "allowed"), list(combinations()))
def test_a_combination(params, allowed, classifier, frame, target):
    if params.get("unfreeze"):
        classifier = classifier.set_params(backbone="resnet18", image_size=32)
    classifier.set_params(**params, max_epochs=2)
    if allowed:
        assert classifier.fit(frame, target).predict_proba(frame).shape == (len(frame), 2)
        return
    with pytest.raises(
        ValueError, match=r"(head|feature_scaling)='\w+' and .*exclude each other"
    ) as refused:
        classifier.fit(frame, target)
    if params["head"] == "linear" and params["fusion"] == "gated":
        assert "and fusion='gated' exclude" in str(refused.value)
    else:
        way = "unfreeze='layer4'" if params.get("unfreeze") else "frozen_epochs=1"
        assert f"and {way} exclude" in str(refused.value)


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"callbacks": [EarlyStopping()]}, "callbacks"),
        ({"train_split": ValidSplit(2)}, "train_split"),
        ({"head_dropout": 0.5}, "head_dropout=0.5"),
        ({"steps_per_epoch": 3}, "steps_per_epoch=3"),
        ({"warm_start": True}, "warm_start=True"),
        ({"criterion": torch.nn.MultiMarginLoss}, "criterion=MultiMarginLoss"),
        ({"optimizer__weight_decay": 0.1}, "optimizer__weight_decay"),
        ({"criterion__label_smoothing": 0.1}, "criterion__label_smoothing"),
    ],
)
def test_a_linear_head_has_no_epochs(params, named, table):
    with pytest.raises(ValueError, match=f"head='linear' and {named}.*exclude each other"):
        clinical_only(head="linear", **params).fit(*table)


def test_the_penalty_is_the_linear_heads_alone(table):
    with pytest.raises(ValueError, match=r"head='mlp' and C=0\.5 exclude each other"):
        clinical_only(C=0.5).fit(*table)


def test_a_network_of_ones_own_knows_no_heads(table):
    class Own(torch.nn.Module):
        pass

    for params in ({"head": "linear"}, {"fusion": "gated"}, {"feature_scaling": "global"}):
        with pytest.raises(ValueError, match="module=Own exclude each other"):
            clinical_only(module=Own, **params).fit(*table)


@pytest.mark.parametrize(
    "params",
    [
        {"head": "tree"},
        {"fusion": "film"},
        {"feature_scaling": "zscore"},
        {"C": 0},
        {"C": "1"},
        {"C": float("nan")},
        {"modality_dropout": 1.0},
        {"modality_dropout": -0.1},
        {"steps_per_epoch": 0},
        {"steps_per_epoch": 2.5},
    ],
)
def test_values_out_of_range_are_refused_with_those_allowed(params, table):
    ((name, value),) = params.items()
    with pytest.raises(ValueError, match=f"{name}={value!r} is not allowed; allowed: "):
        clone(clinical_only()).set_params(**params).fit(*table)


@pytest.mark.parametrize(
    "name", ["head", "fusion", "feature_scaling", "modality_dropout", "clinical_names"]
)
def test_the_network_is_not_told_past_the_classifier(name, table):
    with pytest.raises(ValueError, match=f"module__{name} is not allowed"):
        clinical_only(**{f"module__{name}": "linear"}).fit(*table)
