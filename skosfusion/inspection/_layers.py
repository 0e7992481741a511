"""The layers of an encoder that a heatmap can be made of."""

from typing import NamedTuple

import torch
from torch import nn

from .._utils.caches import BoundedMap
from .._utils.locks import ForkSafeLock
from .._utils.validation import did_you_mean
from ._trace import trace

# What only passes on, or pools, what another layer has made.
_NOT_A_DEFAULT = (
    nn.Identity,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Dropout,
    nn.Flatten,
    nn.Softmax,
)


# Encoders whose layers are remembered.
_MOST_KNOWN = 32
_KNOWN_LAYERS, _LOCK = BoundedMap(_MOST_KNOWN, evict="least recent"), ForkSafeLock()


class FeatureMap(NamedTuple):
    """A layer whose output has spatial extent, and where its output keeps what."""

    name: str
    #: Dimensions of samples, channels, and rows and columns (or tokens) of the map.
    order: tuple
    #: Height and width.
    size: tuple
    #: Tokens that stand before those of the map, such as a class token.
    n_before: int = 0
    #: Whether tokens run down the columns.
    by_column: bool = False

    @property
    def channels_first(self):
        """Whether values are laid out as (n_samples, n_channels, height, width)."""
        return self.order == (0, 1, 2, 3)

    def as_channels_first(self, values):
        """Bring values of the layer to (n_samples, n_channels, height, width)."""
        if self.channels_first:
            return values
        values = values.permute(self.order)
        if values.ndim == 4:
            return values
        size = self.size[::-1] if self.by_column else self.size
        places = slice(self.n_before, self.n_before + size[0] * size[1])
        maps = values[:, :, places].unflatten(2, size)
        return maps.mT if self.by_column else maps

    def keep_channels(self, output, kept):
        """Set channels of the map to 0 where `kept` (n_rows, n_channels) is False."""
        if output.ndim == 4:
            shape = [1, 1, 1, 1]
            shape[0], shape[self.order[1]] = kept.shape
            return output * kept.view(shape)
        # Other tokens than those of the map stay.
        places = torch.zeros(output.shape[self.order[2]], dtype=torch.bool, device=kept.device)
        places[self.n_before : self.n_before + self.size[0] * self.size[1]] = True
        mask = kept[:, :, None] | ~places
        return output * (mask if self.order[1] == 1 else mask.mT)


class _Encoder(NamedTuple):
    """What is remembered of an encoder: its maps, the default, and what other layers put out."""

    maps: dict
    default: str | None
    problem: str
    others: dict


def find_feature_map(encoder, image_size, name=None, *, n_channels=3, identity=None):
    """Find a layer by name, or the one that makes the encoder's last feature map.

    `identity` is that of the network; layers of one whose code is known are looked for once.
    """
    if identity is None or not identity.is_known:
        known = _examine(encoder, image_size, n_channels)
    else:
        known = _examine_once(encoder, image_size, n_channels, identity.digest)
    if name is None and known.default is None:
        raise ValueError(known.problem + _listed(known.maps))
    name = known.default if name is None else name
    if not isinstance(name, str) or name not in known.maps:
        if isinstance(name, str) and name in known.others:
            problem = known.others[name]
        elif isinstance(name, str) and name in dict(encoder.named_modules()):
            problem = "gives no tensor, or does not run when the encoder predicts"
        else:
            nearest = did_you_mean(name, known.maps)
            problem = "is not a layer of the encoder" + (f"; {nearest}" if nearest else "")
        stop = "" if problem.endswith("?") else "."
        raise ValueError(f"layer={name!r} {problem}{stop}{_listed(known.maps)}")
    return known.maps[name]


def _examine_once(encoder, image_size, n_channels, digest):
    """Look for the maps of an encoder that its digest tells from others."""
    with _LOCK:
        known = _KNOWN_LAYERS.get((digest, image_size))
    if known is None:
        known = _examine(encoder, image_size, n_channels)
        with _LOCK:
            _KNOWN_LAYERS.put((digest, image_size), known)
    return known


def _listed(maps):
    return f" Layers with a feature map: {', '.join(maps)}" if maps else ""


def _examine(encoder, image_size, n_channels):
    """Look for the maps of an encoder, in the order in which its layers finish."""
    found = trace(encoder, image_size, n_channels)
    maps, others, defaults = {}, {}, []
    for name, layer in found.layers.items():
        feature_map = None if layer.step is None else _as_map(name, layer)
        if feature_map is None:
            others[name] = _without_map(layer)
        elif not found.shows_places(layer):
            others[name] = (
                "comes after the last exchange between places: the class score depends on other "
                "tokens of its output alone"
            )
        else:
            maps[name] = feature_map
            if found.is_on_main_path(layer) and not issubclass(layer.kind, _NOT_A_DEFAULT):
                defaults.append(name)
    who = f"the encoder {type(encoder).__name__}"
    if not defaults:
        return _Encoder(maps, None, (
            f"no layer of {who} makes a feature map (n_samples, n_channels, height, width) from "
            f"images of {image_size} pixels that all of its features come from, so there is "
            "nothing to draw a heatmap of." + (" Choose with layer=." if maps else "")
        ), others)  # fmt: skip
    last = found.layers[defaults[-1]]
    n_until, n_after = found.n_contractions(last)
    if found.n_attentions_after(last) > 1 or n_after > n_until:
        return _Encoder(maps, None, (
            f"the last map that all features of {who} come from is that of {defaults[-1]!r}; as "
            f"{n_after} of its {n_until + n_after} convolutions and matrix products come after it, "
            "it would not show what they make of the image. Choose a layer with layer=."
        ), others)  # fmt: skip
    lost = [
        name
        for name in others
        if _may_be_a_map(found.layers[name])
        and found.is_on_main_path(found.layers[name])
        and found.is_lost_between(last, found.layers[name])
    ]
    if lost:
        return _Encoder(maps, None, (
            f"the places of the image cannot be followed to the layer {lost[-1]!r} of {who}; the "
            f"last layer that is known to give a map is {defaults[-1]!r}. Choose with layer=."
        ), others)  # fmt: skip
    return _Encoder(maps, defaults[-1], "", others)


def _may_be_a_map(layer):
    """Return whether a layer depends on the image and has more dimensions than one for a sample."""
    return layer.step is not None and sum(size > 1 for size in layer.shape[1:]) > 1


def _without_map(layer):
    """Say why a layer's output is not a map."""
    shape = 1, *layer.shape[1:]
    if _may_be_a_map(layer):
        return (
            f"gives values of shape {shape}, and which of their dimensions are rows and columns of "
            "the image cannot be followed through its operations"
        )
    return f"gives values of shape {shape}, without spatial extent"


def _as_map(name, layer):
    """Return where a layer's output has its places; None where it is not a map."""
    axes = layer.axes
    spatial = {}
    for dim, atoms in enumerate(axes):
        if len(atoms) == 1 and atoms[0].grid:
            inner, n_before = atoms[0].grid, atoms[0].before
        else:
            inner, n_before = atoms, 0
        names = [atom.axis for atom in inner]
        if {"h", "w"} & set(names):
            spatial[dim] = names, inner, n_before
    if not spatial or 0 in spatial or not 3 <= len(axes) <= 4:
        return None
    found = [atom for _, inner, _ in spatial.values() for atom in inner]
    size = {atom.axis: atom.size for atom in found}
    if len(size) != len(found) or not set(size) <= {"h", "w"}:
        return None
    size = size.get("h", 1), size.get("w", 1)
    rest = [dim for dim in range(1, len(axes)) if dim not in spatial]
    if len(axes) == 3:
        if len(spatial) != 1:
            return None
        ((dim, (names, _, n_before)),) = spatial.items()
        return FeatureMap(name, (0, rest[0], dim), size, n_before, names[0] == "w" and size[0] > 1)
    if any(n_before or len(names) > 1 for names, _, n_before in spatial.values()):
        return None
    if len(spatial) == 1:
        # A map of one row or column: where the other axis is, is told by the kind of layout.
        (dim,) = spatial
        (name_of,) = spatial[dim][0]
        other = dim - 1 if name_of == "w" else dim + 1
        if other not in rest or layer.shape[other] != 1:
            return None
        rest.remove(other)
        rows, columns = (other, dim) if name_of == "w" else (dim, other)
    else:
        rows, columns = sorted(spatial, key=lambda dim: spatial[dim][0] != ["h"])
    return FeatureMap(name, (0, rest[0], rows, columns), size)
