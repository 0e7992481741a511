"""When are two networks the same? One answer, by content, for all that asks."""

import functools
import inspect
from importlib.metadata import packages_distributions, version
from typing import NamedTuple

import torch
from torch import nn

from .._utils.code import names_in
from .._utils.content import NOT_TOLD, Content
from ._encoders import is_torchvision_model
from ._fusion import FusionNetwork

# What has been done with a network, and what its head makes of features: not what it makes of
# pixels, unless a class of the user's says so.
_OF_HISTORY = {
    "below_has_trained",
    "encoder_frozen",
    "encoder_has_trained",
    "engine",  # told apart by the key of features
    "n_features",
    "split",
}
_OF_HEAD = {"feature_mean", "feature_scale", "feature_scaling", "fusion"}
_NOT_ENCODING = {"__init__", "forward", "freeze_encoder", "split_at", "train"}


class Identity(NamedTuple):
    """Networks of equal digests make the same of pixels.

    `digest` is None where nobody can tell, and `reason` says why. `is_known` says whether all code
    is torch's, torchvision's or this package's; `libraries` names the others that were met.
    """

    digest: bytes | None
    is_known: bool
    reason: str | None = None
    libraries: frozenset = frozenset()


def network_identity(network, *, with_values=True, beside=()):
    """Return what tells a network's features from another's; without values, for any weights.

    The parts `beside` do not count: those that run after what is computed.
    """
    idle = [*_idle_parts(network), *beside]
    names = _OF_HISTORY | (_OF_HEAD if _encodes_as_usual(network) else set())
    content = Content(with_values=with_values, idle=idle, owner=network, idle_names=names)
    try:
        # Hooks on all modules of the process are hooks on this one's.
        if with_values and network.encoder is not None and not beside:
            content.hash_ahead(network.encoder, torch.get_num_threads())
        hooks = nn.modules.module._global_forward_hooks, nn.modules.module._global_forward_pre_hooks
        digest = content.digest([network, *(list(of_all.values()) for of_all in hooks)])
    except NOT_TOLD as error:
        return Identity(None, False, f"{type(error).__name__}: {error}")
    is_known = content.is_known and not any(hooks) and is_torchvision_model(network.encoder)
    is_known = is_known and type(network) is FusionNetwork
    return Identity(digest, is_known, libraries=frozenset(content.libraries))


def library_versions(libraries):
    """Return the version of each library by name, or None where one of them has none."""
    distributions = _distributions()
    found = {name: sorted(distributions.get(name, ())) for name in libraries}
    if not all(found.values()):
        return None
    return {name: [f"{one} {version(one)}" for one in found[name]] for name in sorted(found)}


@functools.cache
def _distributions():
    return packages_distributions()


def has_known_code(network):
    """Return whether all code that computes features is known by its version."""
    is_plain = type(network) is FusionNetwork and is_torchvision_model(network.encoder)
    return is_plain and network_identity(network, with_values=False).is_known


def _idle_parts(network):
    """List the parts of a network that take no part in encoding."""
    kind, parts = type(network), network._modules
    if _encodes_as_usual(network):
        return [part for name, part in parts.items() if name != "encoder"]
    reads_head = any("head" in names_in(f.__code__)[1] for f in _own_functions(kind))
    return [] if reads_head else [parts.get("head")]


def _encodes_as_usual(network):
    return type(network).encode is FusionNetwork.encode and "encode" not in vars(network)


def _own_functions(kind):
    for parent in kind.__mro__[: kind.__mro__.index(FusionNetwork)]:
        for name, value in vars(parent).items():
            if inspect.isfunction(value) and name not in _NOT_ENCODING:
                yield value
