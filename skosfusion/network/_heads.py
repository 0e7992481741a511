"""What decides on features and clinical values: the paper's perceptron, a line, or a gate."""

from collections import OrderedDict

from torch import nn

from ._gated_head import GatedHead

HEADS = ("mlp", "linear")
FUSIONS = ("concat", "gated")


def make_head(
    n_features,
    clinical_names,
    n_classes,
    *,
    head="mlp",
    fusion="concat",
    hidden_units=512,
    head_dropout=0.0,
    modality_dropout=0.0,
):
    """Make what maps a row of features and clinical values to logits; the last two are shares."""
    if fusion == "gated":
        return GatedHead(
            n_features,
            clinical_names,
            n_classes,
            hidden_units=hidden_units,
            head_dropout=head_dropout,
            modality_dropout=modality_dropout,
        )
    n_inputs = n_features + len(clinical_names)
    if head == "linear":
        return nn.Sequential(nn.Linear(n_inputs, n_classes))
    layers = [
        ("0", nn.Linear(n_inputs, hidden_units)),
        ("1", nn.ReLU()),
        ("2", nn.Linear(hidden_units, n_classes)),
    ]
    if head_dropout:
        # By a name, so that the weights are called the same with and without it.
        layers.insert(2, ("dropout", nn.Dropout(float(head_dropout))))
    return nn.Sequential(OrderedDict(layers))
