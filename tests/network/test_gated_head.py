import copy

import numpy as np
import pytest
import torch

from skosfusion.network import FusionNetwork, GatedHead, inputs_of_columns

NAMES = ["gender", "alp", "alp_sp_0", "alp_sp_1", "alp_missing", "ldh", "ldh_missing"]


@pytest.fixture
def head():
    torch.manual_seed(0)
    return GatedHead(3, NAMES, 2, hidden_units=8).eval()


@pytest.fixture
def rows():
    values = torch.randn(5, 3 + len(NAMES) + 1, generator=torch.Generator().manual_seed(1))
    values[:, [7, 9]] = -0.5  # nothing is missing
    values[:, -1] = 1
    return values


def test_columns_belong_to_inputs():
    inputs, is_indicator = inputs_of_columns(NAMES)
    assert inputs == [0, 1, 1, 1, 1, 2, 2]
    assert [name for name, is_one in zip(NAMES, is_indicator, strict=True) if is_one] == [
        "alp_missing",
        "ldh_missing",
    ]


def test_a_name_that_only_looks_like_an_indicator_is_a_value():
    inputs, is_indicator = inputs_of_columns(["x_missing", "a_sp_0", "b", "b_sp_x"])
    assert inputs == [0, 1, 2, 3]
    assert not any(is_indicator)


def test_it_is_what_its_equations_say(head, rows):
    features, clinical = rows[:, :3], rows[:, 3:-1].clone()
    clinical[:, [4, 6]] = 0
    weights = head.gate(torch.cat([features, torch.ones(5, 1), clinical], 1)).softmax(1)
    hidden = weights[:, :1] * head.image(features).relu()
    hidden = hidden + weights[:, 1:] * head.clinical(clinical).relu()
    torch.testing.assert_close(head(rows), head.output(hidden))
    torch.testing.assert_close(head.modality_weights(rows), weights)


def test_values_that_are_missing_do_not_matter(head, rows):
    rows[2:, 7] = 0.5
    others = rows.clone()
    others[2:, 4:7] = 100.0
    others[2:, 7] = 3.0
    torch.testing.assert_close(head(others), head(rows), rtol=0, atol=0)
    others[:2, 4] = 100.0
    assert not torch.equal(head(others)[:2], head(rows)[:2])


def test_a_missing_image_has_no_weight_and_no_say(head, rows):
    rows[1, -1] = 0
    weights = head.modality_weights(rows)
    assert weights[1].tolist() == [0, 1]
    assert (weights[[0, 2]] > 0).all()
    others = rows.clone()
    others[1, :3] = 50.0
    torch.testing.assert_close(head(others), head(rows), rtol=0, atol=0)


def test_without_any_clinical_value_the_image_has_all_weight(rows):
    head = GatedHead(3, ["alp", "alp_missing"], 2, hidden_units=8).eval()
    values = torch.cat([rows[:, :3], torch.tensor([[1.0, 1.0, 1.0]]).expand(5, -1)], 1)
    assert head.modality_weights(values).tolist() == [[1, 0]] * 5


def test_where_nothing_is_there_it_is_finite(head, rows):
    head = GatedHead(3, ["alp", "alp_missing"], 2, hidden_units=8).eval()
    values = torch.tensor([[0.0, 0, 0, 5, 1, 0]])
    assert torch.isfinite(head(values)).all()
    assert head.modality_weights(values).tolist() == [[0.5, 0.5]]
    # What stands in the place of a missing image or value has no say.
    others = torch.tensor([[7.0, 8, 9, 3, 2, 0]])
    torch.testing.assert_close(head(others), head(values), rtol=0, atol=0)


@pytest.mark.parametrize(("n_features", "names"), [(3, []), (0, NAMES)])
def test_one_side_alone_is_a_perceptron(n_features, names):
    head = GatedHead(n_features, names, 2, hidden_units=8)
    n_columns = n_features + len(names) + (n_features > 0)
    values = torch.ones(4, n_columns)
    assert head(values).shape == (4, 2)
    assert head.modality_weights(values).tolist() == [[1]] * 4


def test_in_training_modalities_are_hidden_as_if_missing(rows):
    torch.manual_seed(0)
    head = GatedHead(3, NAMES, 2, hidden_units=8, modality_dropout=0.3).train()
    many = rows[:1].expand(20_000, -1)
    with torch.no_grad():
        weights = head.modality_weights(many)
    assert (weights[:, 0] == 0).float().mean() == pytest.approx(0.3, abs=0.02)
    hidden = copy.deepcopy(head)
    with torch.no_grad():
        outputs = {tuple(row) for row in np.round(hidden(many).numpy(), 5)}
    # The image or not, times ALP or not, times LDH or not.
    assert len(outputs) == 8
    as_if_missing = rows[:1].clone()
    as_if_missing[:, [7, 9]] = 1
    as_if_missing[:, -1] = 0
    nothing = np.round(head.eval()(as_if_missing).detach().numpy(), 5)
    assert tuple(nothing[0]) in outputs


def test_evaluation_hides_nothing(rows):
    head = GatedHead(3, NAMES, 2, hidden_units=8, modality_dropout=0.5).eval()
    torch.testing.assert_close(head(rows), head(rows), rtol=0, atol=0)
    assert head.modality_weights(rows).min() > 0


def test_gradients_reach_both_sides_and_the_gate(head, rows):
    head(rows).sum().backward()
    for layer in (head.image, head.clinical, head.gate, head.output):
        assert layer.weight.grad.abs().sum() > 0


def test_its_layout_is_no_part_of_its_state(head):
    assert {name.split(".")[0] for name in head.state_dict()} == {
        "image",
        "clinical",
        "gate",
        "output",
    }


def test_the_network_tells_it_where_images_are():
    network = FusionNetwork(2, 2, backbone="resnet18", image_size=32, fusion="gated").eval()
    clinical = torch.zeros(2, 2)
    features = torch.ones(2, 512)
    has_image = torch.tensor([True, False])
    with torch.no_grad():
        parts = network.head_inputs(features, clinical, has_image)
        logits = network(clinical, features=features, has_image=has_image)
        both = network(clinical, features=features)
    assert parts[-1].tolist() == [[1], [0]]
    assert torch.equal(logits[0], both[0])
    assert not torch.equal(logits[1], both[1])


def test_all_inputs_are_hidden_at_once_and_each_by_itself(rows):
    torch.manual_seed(0)
    head = GatedHead(3, NAMES, 2, hidden_units=8, modality_dropout=0.3).train()
    clinical, _ = head._without_missing(rows[:1, 3:-1].expand(20_000, -1))
    indicators = clinical[:, head.indicators]
    n_hidden = indicators.sum(dim=1)
    n_inputs = len(head.indicators)
    # All at once with 0.3, else each with 0.3 by itself.
    expected = 0.3 + 0.7 * 0.3**n_inputs
    assert (n_hidden == n_inputs).float().mean() == pytest.approx(expected, abs=0.015)
    assert (n_hidden == 0).float().mean() == pytest.approx(0.7 ** (n_inputs + 1), abs=0.015)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["site_hip", "site_knee", "site_missing"], [0, 0, 0]),
        (["site_hip", "site_missing", "site_2_hip", "site_2_missing"], [0, 0, 1, 1]),
        (["site_hip", "site_missing", "site_size", "site_size_missing"], [0, 0, 1, 1]),
        (["age", "age_sp_0", "age_missing", "site_age", "site_missing"], [0, 0, 0, 1, 1]),
        (["x_missing"], [0]),
    ],
)
def test_columns_of_one_input_are_known_by_their_names(names, expected):
    inputs, is_indicator = inputs_of_columns(names)
    assert inputs == expected
    assert is_indicator == [name.endswith("_missing") and len(names) > 1 for name in names]
