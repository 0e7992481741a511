"""The part of a file that is an encoder's state: which dict, below which prefix of its names."""

import warnings
from collections import Counter, defaultdict, deque
from typing import NamedTuple

import torch

from ..exceptions import WeightsError

_N_SHOWN = 3
_MAX_NAME = 1000
_MAX_DICTS = 10_000
_N_COMPARED = 8
# Files from before torch 0.4 lack it, and no prediction depends on it.
_COUNT = "num_batches_tracked"


class WeightsReport(NamedTuple):
    """What was taken of a file of weights, and what was not.

    Parameters
    ----------
    source : str
        The file, or the name of the weights and their library.
    key : str
        Where in the file the dict of tensors lay, such as "state_dict"; "" for the whole file.
    prefix : str
        What was stripped off the names of the tensors, such as "module.".
    n_tensors : int
        How many tensors were taken.
    left_over : tuple of str
        Names in that dict that the encoder does not have, such as those of a classification head.
    missing : tuple of str
        Names of the encoder that the file lacks: at most counts of batches, which start at 0.

    Examples
    --------
    >>> from skosfusion.network import WeightsReport
    >>> print(WeightsReport("file 'a.pth'", "state_dict", "module.", 2, ("module.fc.bias",), ()))
    2 tensors from file 'a.pth', in 'state_dict', below 'module.'; 1 left over ('module.fc.bias')
    """

    source: str
    key: str
    prefix: str
    n_tensors: int
    left_over: tuple = ()
    missing: tuple = ()

    def __str__(self):
        parts = [f"{self.n_tensors} tensors from {self.source}{_place(self.key, self.prefix)}"]
        for names, what in ((self.left_over, "left over"), (self.missing, "missing")):
            if names:
                parts.append(f"{len(names)} {what} ({shown(names)})")
        return "; ".join(parts)


def tensor_dicts(content):
    """List the dicts with tensors in what a file holds, as pairs of a dotted key and a dict."""
    found, pending, seen = [], deque([("", content)]), set()
    while pending and len(seen) <= _MAX_DICTS:
        key, value = pending.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        named = {name: inner for name, inner in value.items() if isinstance(name, str)}
        tensors = {name: inner for name, inner in named.items() if isinstance(inner, torch.Tensor)}
        if tensors or not key:
            found.append((key, tensors))
        # Keys grow with each dict within a dict, and nobody nests encoders below long names.
        pending.extend(
            (f"{key}.{name}".lstrip("."), inner)
            for name, inner in named.items()
            if isinstance(inner, dict) and len(key) + len(name) < _MAX_NAME
        )
    return found


def fitting_state(dicts, expected, source, backbone):
    """Return the entries that are the encoder's, under its own names, and a report.

    Raises WeightsError where no dict below no prefix holds them all in their shapes, or where
    several do with other values.
    """
    required = [name for name in expected if not name.endswith(_COUNT)]
    candidates = _candidates(dicts, expected)
    fitting = [
        candidate
        for candidate in candidates
        if candidate.n_names >= len(required)
        and all(_has(candidate, name, expected) for name in required)
    ]
    if not fitting:
        raise WeightsError(
            f"weights from {source} do not fit backbone {backbone!r:.100}: "
            f"{_misfit(candidates, expected)}"
        )
    chosen = fitting[0]
    # A file whose own names fit leaves no doubt.
    if chosen.key or chosen.prefix:
        _refuse_doubt(fitting, required, source)
    state = {name: chosen.get(name) for name in expected if _has(chosen, name, expected)}
    used = {chosen.prefix + name for name in state}
    left_over = tuple(name for name in chosen.tensors if name not in used)
    _refuse_deeper(chosen, left_over, expected, source, backbone)
    missing = tuple(name for name in expected if name not in state)
    report = WeightsReport(source, chosen.key, chosen.prefix, len(state), left_over, missing)
    zeros = {name: torch.zeros(expected[name].shape, dtype=torch.int64) for name in missing}
    return state | zeros, report


def shown(names):
    """Show the first of many names."""
    names = list(names)
    rest = ", …" if len(names) > _N_SHOWN else ""
    return ", ".join(f"{name!r:.100}" for name in names[:_N_SHOWN]) + rest


class _Candidate(NamedTuple):
    """A dict of a file, seen below a prefix, and how many names of the encoder it has there."""

    key: str
    prefix: str
    tensors: dict
    n_names: int

    def get(self, name):
        return self.tensors.get(self.prefix + name)


def _candidates(dicts, expected):
    """List the dicts, outer ones first, below each prefix of theirs, short ones first."""
    depths = sorted({name.count(".") for name in expected})
    candidates = []
    for key, tensors in dicts:
        n_names = Counter({"": 0})
        for name in tensors:
            # A long name with many dots would be compared very often.
            words = name.split(".") if len(name) <= _MAX_NAME else ()
            for depth in depths:
                own = ".".join(words[-depth - 1 :])
                if depth < len(words) and own in expected:
                    n_names[name[: len(name) - len(own)]] += 1
        candidates += (
            _Candidate(key, prefix, tensors, n_names[prefix]) for prefix in sorted(n_names, key=len)
        )
    return candidates


def _has(candidate, name, expected):
    tensor = candidate.get(name)
    return tensor is not None and tensor.shape == expected[name].shape


def _misfit(candidates, expected):
    """Say which tensors keep the nearest dict and prefix from fitting, and how many they are."""
    likely = sorted(candidates, key=lambda one: -one.n_names)[:_N_COMPARED]
    nearest = max(likely, key=lambda one: sum(_has(one, name, expected) for name in expected))
    missing = [name for name in expected if nearest.get(name) is None]
    others = [
        f"{name!r} has shape {tuple(nearest.get(name).shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if not (nearest.get(name) is None or _has(nearest, name, expected))
    ]
    parts = []
    if missing:
        parts.append(
            f"{len(missing)} of {len(expected)} entries are missing, such as {shown(missing)}, "
            f"where the file has {shown(nearest.tensors) or 'none'}"
        )
    if others:
        examples = "; ".join(others[:_N_SHOWN])
        parts.append(f"{len(others)} of {len(expected)} have another shape: entry {examples}")
    return " and ".join(parts) + _place(nearest.key, nearest.prefix)


def _refuse_doubt(fitting, required, source):
    """Refuse a file with several encoders, such as a student and a teacher, unless they are one."""
    first = fitting[0]
    for other in fitting[1:]:
        if not all(_is_equal(first.get(name), other.get(name)) for name in required):
            one, two = (_place(each.key, each.prefix).lstrip(", ") for each in (first, other))
            raise WeightsError(
                f"weights from {source} hold several encoders with different values: one "
                f"{one or 'in the whole file'}, another {two or 'in the whole file'}. Save the "
                "one to use alone: keep its entries of the dict that torch.load(path, "
                "weights_only=True) returns, and torch.save them to a file of their own"
            )


def _is_equal(one, other):
    return one is other or (one.dtype == other.dtype and torch.equal(one, other))


def _refuse_deeper(chosen, left_over, expected, source, backbone):
    """Refuse a deeper network of the same kind, whose first blocks would fit."""
    children = defaultdict(set)
    for name in expected:
        words = name.split(".")
        for i, word in enumerate(words):
            children[tuple(words[:i])].add(word)
    deeper = []
    for name in left_over:
        if not name.startswith(chosen.prefix) or len(name) > _MAX_NAME:
            continue
        words = name.removeprefix(chosen.prefix).split(".")
        at = next((i for i, word in enumerate(words) if word not in children[(*words[:i],)]), None)
        if at is not None and _is_next(words[at], children[(*words[:at],)]):
            deeper.append((name, at))
    text = (
        f"weights from {source} are those of a deeper network than backbone {backbone!r:.100}: "
        f"{len(deeper)} entries have no place in it, such as {shown(name for name, _ in deeper)}; "
        "pass the backbone that they are of"
    )
    if deeper and isinstance(backbone, str):
        raise WeightsError(text)
    # An encoder of the user's may be the first stages of a network, cut off on purpose.
    if any(at > 0 for _, at in deeper):
        warnings.warn(text, UserWarning, stacklevel=2)


def _is_next(name, others):
    """Return whether a name goes on with a numbered row of blocks; a head has its own name."""
    stem = name.rstrip("0123456789")
    return stem != name and any(stem == other.rstrip("0123456789") != other for other in others)


def _place(key, prefix):
    """Say where in a file a state lies."""
    where = f", in {key!r:.100}" if key else ""
    return where + (f", below {prefix!r:.100}" if prefix else "")
