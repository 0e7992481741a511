"""A head that weighs the image against the clinical values, row by row."""

import torch
from torch import nn

_INDICATOR = "_missing"
_BASIS = "_sp_"


class GatedHead(nn.Module):
    """A hidden layer for the image and one for the clinical values, and a gate that weighs them.

    The gate sees both sides and gives each a weight; the weights of a row add up to 1, and what is
    missing has the weight 0. It is the gated multimodal unit [1]_ with one weight a modality. In
    training, modalities are hidden at random, as if they were missing.

    Parameters
    ----------
    n_features : int
        Length of the image's feature vector, 0 without an encoder.
    clinical_names : sequence of str
        Names of the clinical columns. A column ``<input>_missing`` says by a value above 0 that
        ``<input>`` is missing: its columns (that name, ``<input>_sp_0`` and so on, or, where there
        is no such name, those of its categories, ``<input>_<category>``) are 0 then.
    n_classes : int
        Number of classes.
    hidden_units : int, default=512
        Width of each hidden layer.
    head_dropout : float, default=0.0
        Share of the hidden units that a training step leaves out, from 0 to below 1.
    modality_dropout : float, default=0.0
        Share of the rows of a training step in which the image is hidden; so are, independently,
        all clinical inputs with an indicator, and each of them.

    References
    ----------
    .. [1] J. Arevalo et al., "Gated multimodal units for information fusion", ICLR 2017 workshop,
       section 3.2.

    Examples
    --------
    >>> import torch
    >>> from skosfusion.network import GatedHead
    >>> head = GatedHead(3, ["age", "alp", "alp_missing"], 2, hidden_units=8).eval()
    >>> rows = torch.tensor([[0.1, 0.2, 0.3, 0.14, 1.2, 0, 1], [0.1, 0.2, 0.3, 0.14, 1.2, 0, 0]])
    >>> head(rows).shape
    torch.Size([2, 2])
    >>> head.modality_weights(rows)[1].tolist()
    [0.0, 1.0]
    """

    def __init__(
        self,
        n_features,
        clinical_names,
        n_classes,
        *,
        hidden_units=512,
        head_dropout=0.0,
        modality_dropout=0.0,
    ):
        super().__init__()
        self.n_features, self.n_clinical = n_features, len(clinical_names)
        inputs, is_indicator = inputs_of_columns(clinical_names)
        indicators = [column for column, is_one in enumerate(is_indicator) if is_one]
        # Constants, which follow the module to its device and are no part of its state.
        for name, values in (
            ("is_value", [not is_one for is_one in is_indicator]),
            ("input_of_column", inputs),
            ("indicators", indicators),
            ("indicated_inputs", [inputs[column] for column in indicators]),
        ):
            dtype = torch.bool if name == "is_value" else torch.long
            self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)
        self.n_inputs = len(set(inputs))
        self.image = nn.Linear(n_features, hidden_units) if n_features else None
        self.clinical = nn.Linear(self.n_clinical, hidden_units) if self.n_clinical else None
        has_both = n_features > 0 and self.n_clinical > 0
        self.gate = nn.Linear(n_features + 1 + self.n_clinical, 2) if has_both else None
        self.output = nn.Linear(hidden_units, n_classes)
        self.dropout = nn.Dropout(float(head_dropout))
        # What it leaves of ones says what is hidden.
        self.hiding = nn.Dropout(float(modality_dropout))

    def forward(self, values):
        """Compute one logit per class.

        Parameters
        ----------
        values : torch.Tensor of shape (n_samples, n_features + n_clinical + 1)
            Features, clinical values, and 1 where there is an image, else 0. Without an encoder,
            clinical values alone.

        Returns
        -------
        torch.Tensor of shape (n_samples, n_classes)
            Logits.
        """
        sides, weights = self._weigh(values)
        hidden = sum(w * torch.relu(s) for w, s in zip(weights.split(1, dim=1), sides, strict=True))
        return self.output(self.dropout(hidden))

    def modality_weights(self, values):
        """Return how much the gate makes of the image and of the clinical values.

        Parameters
        ----------
        values : torch.Tensor of shape (n_samples, n_features + n_clinical + 1)
            As in `forward`.

        Returns
        -------
        torch.Tensor of shape (n_samples, 2)
            Weight of the image, and of the clinical values, from 0 to 1; they add up to 1. With one
            modality alone, its weight of 1 in one column.
        """
        with torch.no_grad():
            return self._weigh(values)[1]

    def _weigh(self, values):
        """Return what the hidden layer of each modality computes, and the gate's weights."""
        image, clinical = values[:, :0], values[:, : self.n_clinical]
        if self.image is not None:
            ends = self.n_features, self.n_features + self.n_clinical
            features, clinical, has_image = values.tensor_split(ends, dim=1)
            # A lone image is not hidden: a row without anything teaches nothing.
            shown = has_image if self.gate is None else has_image * self._draw(has_image)
            image = torch.cat([features * shown, shown], dim=1)
        clinical, has_clinical = self._without_missing(clinical)
        if self.gate is None:
            side = self.clinical(clinical) if self.image is None else self.image(image[:, :-1])
            return [side], torch.ones_like(values[:, :1])
        scores = self.gate(torch.cat([image, clinical], dim=1))
        there = torch.cat([image[:, -1:], has_clinical], dim=1)
        # Where nothing is there, both have the same weight, and their values are 0.
        lowest = torch.finfo(scores.dtype).min
        weights = scores.masked_fill(there == 0, lowest).softmax(dim=1)
        return [self.image(image[:, :-1]), self.clinical(clinical)], weights

    def _without_missing(self, clinical):
        """Set the columns of missing inputs to 0 and indicators to 0 or 1, and tell what is left.

        In training, inputs that may be missing are hidden at random, all at once or each by itself.
        """
        n_rows = len(clinical)
        present = clinical.new_ones(n_rows, self.n_inputs)
        if len(self.indicators):
            there = (clinical[:, self.indicators] <= 0).to(clinical.dtype)
            there = there * self._draw(there[:, :1]) * self._draw(there)
            present = present.index_copy(1, self.indicated_inputs, there)
        of_columns = present[:, self.input_of_column]
        clinical = torch.where(self.is_value, clinical * of_columns, 1 - of_columns)
        return clinical, present.amax(dim=1, keepdim=True) if self.n_inputs else present

    def _draw(self, like):
        """Return ones, and in training 0 for what is to be hidden."""
        return (self.hiding(torch.ones_like(like)) > 0).to(like.dtype)


def inputs_of_columns(names):
    """Return the number of the input of each column, and which columns are indicators."""
    known = set(names)
    starts = {name.removesuffix(_INDICATOR) for name in names if name.endswith(_INDICATOR)}
    # Categories are columns `<input>_<category>`, and there is none of the input's own name.
    of_categories = {s for s in starts - known if any(_is_category(n, s, starts) for n in names)}
    bases = starts & known | of_categories
    is_indicator = [n.endswith(_INDICATOR) and n.removesuffix(_INDICATOR) in bases for n in names]
    numbers, inputs = {}, []
    for name, is_one in zip(names, is_indicator, strict=True):
        base = name.removesuffix(_INDICATOR) if is_one else name
        start, basis, number = name.rpartition(_BASIS)
        if basis and number.isdecimal() and start in known:
            base = start
        elif not is_one:
            # The longest, since "site" and "site_2" may both be inputs.
            likely = [start for start in of_categories if _is_category(name, start, starts)]
            base = max(likely, key=len, default=base)
        inputs.append(numbers.setdefault(base, len(numbers)))
    return inputs, is_indicator


def _is_category(name, start, starts):
    """Return whether a column is that of a category of an input, and no input of its own."""
    return name.startswith(f"{start}_") and name not in starts and not name.endswith(_INDICATOR)
