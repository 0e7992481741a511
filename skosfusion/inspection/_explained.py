"""A copy of a fitted network that shows the output of one layer, and what depends on it."""

import copy

import torch
from torch import nn

from .._utils.content import all_code_is_known
from ..network import (
    EngineFailedError,
    FusionNetwork,
    engine_in_use,
    shared_feature_cache,
    with_replaced,
)

# Channels are left out in parts of at most so many values of the layer.
_MAX_ABLATED_VALUES = 2**24
# Images that go through an encoder at a time where channels are left out.
_MAX_ABLATED_IMAGES = 16


def copied_network(network, encoder=None):
    """Copy a network, in evaluation mode; `encoder` stands for the copy's own where it can."""
    is_plain = type(network) is FusionNetwork and network.encoder is not None
    # Nothing is known of a user's class, so all of it is copied.
    known = {id(network.encoder): encoder} if is_plain and encoder is not None else {}
    return copy.deepcopy(network, known).eval().requires_grad_(False)


def _kept_copy(network, identity, layer, image_size, n_images):
    """Return the copy of an encoder for inference, of which other calls know, too."""
    shape = network.pixel_mean.shape[1], image_size, image_size
    while True:
        # What follows the layer is differentiated, which compiled code cannot be.
        engine = engine_in_use(network, identity, shape, layer=layer, but=("compiled",))
        try:
            cache = shared_feature_cache()
            options = {"layer": layer, "n_images": n_images}
            return cache._encoder_copy(identity, network, engine, shape, **options)
        except EngineFailedError:
            # The next one computes.
            continue


class _Shown(nn.Module):
    """A layer, and what is done with its output."""

    def __init__(self, layer, hook):
        super().__init__()
        self.layer, self.hook = layer, hook

    def forward(self, *inputs, **named):
        output = self.layer(*inputs, **named)
        return self.hook(self.layer, inputs, output)


class _InDouble(nn.Module):
    """A head that computes in float64.

    What a matrix product gives for a row depends, in the last digit, on the row's place in the
    batch. Rounded from float64 to float32 it does not, and a map does not depend on the company.
    """

    def __init__(self, head):
        super().__init__()
        self.head = head.double()

    def forward(self, values):
        return self.head(values.double()).float()


class ExplainedNetwork:
    """A private copy of a network with a hook on one layer of its encoder.

    The network itself is only read: its mode, gradients, hooks and weights are those of before
    whatever happens here. Nothing but what follows the layer is differentiated.
    """

    def __init__(self, network, identity, feature_map, image_size, n_images):
        layer = network.encoder.get_submodule(feature_map.name)
        # What a user's class or hook does is not known well enough for short cuts.
        self._is_known = identity.is_known
        encoder = None
        # Folding changes what a convolution before batch normalization outputs, and nothing else.
        if self._is_known and not isinstance(layer, nn.Conv2d):
            encoder = _kept_copy(network, identity, feature_map.name, image_size, n_images)
        self._network = copied_network(network, encoder)
        if type(network) is FusionNetwork and _takes_float64(self._network.head):
            self._network.head = _InDouble(self._network.head)
        self._feature_map = feature_map
        self._on_output = None
        # Whether one image may become many at the layer; None until it has been tried.
        self._one_image_suffices = None if self._is_known else False
        if encoder is None:
            shown = self._network.encoder.get_submodule(feature_map.name)
            shown.register_forward_hook(self._hook)
        else:
            # The copy serves others, too, so it gets no hook: a second one shares its layers.
            shown = _Shown(encoder.get_submodule(feature_map.name), self._hook)
            self._network.encoder = with_replaced(encoder, {feature_map.name: shown})

    def close(self):
        """Let go of the copy, which refers to this object, so that its memory is free at once."""
        self._network = None

    def _hook(self, layer, inputs, output):
        return self._on_output(output)

    def _forward(self, inputs, on_output):
        n_images, n_runs = len(inputs["image"]), 0

        def checked(output):
            nonlocal n_runs
            n_runs += 1
            if len(output) != n_images:
                raise ValueError(
                    f"layer={self._feature_map.name!r} outputs {len(output)} maps for {n_images} "
                    "images, so no map belongs to one image; choose a layer that keeps images apart"
                )
            return on_output(output)

        # It stays: an encoder with checkpoints runs again when it is differentiated.
        self._on_output = checked
        logits = self._network(**inputs)
        if not n_runs:
            raise ValueError(
                f"layer={self._feature_map.name!r} does not run: "
                f"{type(self._network).__name__} uses its encoder in its own way; choose a layer "
                "that it runs with layer="
            )
        return logits

    def activations_and_gradients(self, inputs, codes):
        """Return the layer's output, and there the gradient of each score (no codes: predicted)."""
        leaves = []

        def begin_graph(output):
            leaves.append(output.detach().requires_grad_())
            # A copy, because the next layer may compute in place.
            return leaves[-1].clone()

        with torch.enable_grad():
            logits = self._forward(inputs, begin_graph)
            codes = logits.argmax(dim=1) if codes is None else codes
            score = logits.gather(1, codes[:, None]).sum()
            # Of a layer that runs several times, the last time counts.
            leaf = leaves[-1]
            gradients = (
                torch.autograd.grad(score, leaf, allow_unused=True)[0]
                if score.requires_grad
                else None
            )
        if gradients is None:
            raise ValueError(
                f"layer={self._feature_map.name!r}: the class score does not depend on its output, "
                "or the encoder does not let gradients through; choose another layer, or "
                "method='ablationcam', which needs no gradients"
            )
        return self._as_maps(leaf.detach()), self._as_maps(gradients)

    def activations_and_score_drops(self, inputs, codes, n_samples):
        """Return the layer's output, and how much each score falls without each of its channels."""
        # Rows from `n_samples` on are padding.
        outputs = []

        def record(output):
            outputs.append(output)
            return output.clone()

        with torch.inference_mode():
            logits = self._forward(inputs, record)
            codes = logits.argmax(dim=1) if codes is None else codes
            activations = self._as_maps(outputs[-1][:n_samples])
            self._n_runs = len(outputs)
            drops = [
                self._score_drops(
                    {name: values[row : row + 1] for name, values in inputs.items()},
                    codes[row],
                    activations[row],
                )
                for row in range(n_samples)
            ]
        return activations, torch.stack(drops)

    def _score_drops(self, inputs, code, activations):
        """Leave out one channel after the other, of one sample."""
        n_channels = len(activations)
        size = max(1, _MAX_ABLATED_VALUES // activations.numel())
        if not self._accepts_more_rows(inputs, n_channels):
            size = min(size, _MAX_ABLATED_IMAGES)
        every = torch.eye(n_channels, device=activations.device) == 0
        drops = []
        for start in range(0, n_channels, size):
            # The first row has all channels: a score to compare with, by the same kernels.
            kept = torch.cat([torch.ones_like(every[:1]), every[start : start + size]])
            scores = self._ablated_logits(inputs, kept)[:, code]
            drops.append(scores[0] - scores[1:])
        return torch.cat(drops)

    def _ablated_logits(self, inputs, kept):
        n_rows = len(kept)
        if not self._one_image_suffices:
            inputs = inputs | {"image": inputs["image"].expand(n_rows, -1, -1, -1)}
        inputs = inputs | {"clinical": inputs["clinical"].expand(n_rows, -1)}
        n_runs = 0

        def leave_out(output):
            nonlocal n_runs
            n_runs += 1
            # Of a layer that runs several times, the last time counts, as for gradients.
            is_last = n_runs == self._n_runs
            return self._feature_map.keep_channels(output, kept) if is_last else output.clone()

        return self._forward(inputs, leave_out)

    def _accepts_more_rows(self, inputs, n_channels):
        """Return whether one image may become many at the layer, so that it is encoded once."""
        # It may not where the output is later joined to another one along the channels.
        if self._one_image_suffices is None:
            self._one_image_suffices = True
            kept = torch.ones(2, n_channels, dtype=torch.bool, device=inputs["clinical"].device)
            try:
                self._ablated_logits(inputs, kept)
            except RuntimeError:
                self._one_image_suffices = False
        return self._one_image_suffices

    def _as_maps(self, values):
        return self._feature_map.as_channels_first(values).float()


def _takes_float64(head):
    # Apple's accelerators have no float64.
    return all_code_is_known(head) and next(head.parameters()).device.type != "mps"
