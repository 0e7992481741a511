"""Which stages of an encoder its features can be computed from: one pass, recorded."""

import itertools
from typing import NamedTuple

import torch

from .._utils.validation import did_you_mean
from ._encoders import flatten

# Stages that an error lists: parts of a stage are looked into until there are so many.
_FEWEST_SHOWN, _MOST_SHOWN = 4, 16


class _Spec(NamedTuple):
    """A tensor without its values."""

    shape: tuple
    dtype: torch.dtype


class _Input(NamedTuple):
    """The one tensor that a stage takes, and where it comes from in the graph of gradients."""

    shape: tuple
    is_channels_last: bool
    is_image: bool
    has_graph: bool
    edge: tuple


class _Call:
    """One call of a module."""

    def __init__(self, begin, inputs, named, images):
        self.begin, self.end = begin, None
        self.output, self.output_edges = None, []
        tensors = [v for v in (*inputs, *named.values()) if isinstance(v, torch.Tensor)]
        self.n_rows = tensors[0].shape[0] if tensors and tensors[0].ndim else 0
        self.input = None
        if len(inputs) == 1 and not named and len(tensors) == 1:
            (x,) = tensors
            is_channels_last = (
                x.ndim == 4
                and x.is_contiguous(memory_format=torch.channels_last)
                and not x.is_contiguous()
            )
            edge = x.grad_fn, x.output_nr
            has_graph = x.requires_grad
            self.input = _Input(tuple(x.shape), is_channels_last, x is images, has_graph, edge)

    def finish(self, end, output):
        """Note the end of the call."""
        self.end = end

        def spec(tensor):
            self.output_edges.append((tensor.grad_fn, tensor.output_nr))
            return _Spec(tuple(tensor.shape), tensor.dtype)

        self.output = _mapped(output, spec)


class SkippedCall(NamedTuple):
    """What a module returned, as shapes, when its first input had `n_rows` rows."""

    n_rows: int
    output: object

    def map_output(self, function):
        """Return the output with a function of each tensor's shape in the tensor's place."""
        return _mapped(self.output, function)


def _mapped(value, function):
    """Apply a function to all tensors in containers; other values stay."""
    if isinstance(value, torch.Tensor | _Spec):
        return function(value)
    if isinstance(value, dict):
        return {key: _mapped(part, function) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_mapped(part, function) for part in value))
    if isinstance(value, list | tuple):
        return type(value)(_mapped(part, function) for part in value)
    return value


class Trace:
    """Which modules of an encoder ran, in which order, and what the features depend on."""

    def __init__(self, encoder, calls, images, features):
        self.calls, self.features = calls, features.detach()
        self.image_shape = tuple(images.shape[1:])
        self._encoder, self._n_images = encoder, len(images)
        self._end = features.grad_fn, features.output_nr
        self._image = images
        self._names = {id(p): name for name, p in encoder.named_parameters()}

    def ancestors(self, stage):
        """List the modules that a stage lies in, by name."""
        parts = stage.split(".")
        return [".".join(parts[:n]) for n in range(len(parts))]

    def finished_before(self, stage):
        """Return what each outermost module returned that is done when a stage begins."""
        begin, done = self.calls[stage][0].begin, {}
        for name, calls in self.calls.items():
            same = {(call.n_rows, repr(call.output)) for call in calls}
            is_within = any(f"{name}.".startswith(f"{other}.") for other in done)
            if len(same) == 1 and calls[0].n_rows and calls[-1].end < begin and not is_within:
                done[name] = SkippedCall(calls[0].n_rows, calls[0].output)
        return done

    def begun_after(self, stage):
        """List the modules outside a stage that run only after it has begun, by name."""
        begin = self.calls[stage][0].begin
        return [
            name
            for name, calls in self.calls.items()
            if calls and calls[0].begin > begin and not name.startswith(f"{stage}.")
        ]

    def parameters_above(self, stage):
        """Name the parameters that the features depend on beside the stage's input."""
        reached = _leaves(_nodes_behind([self._end], self.calls[stage][0].input.edge))
        return frozenset(self._names[one] for one in reached & self._names.keys())

    def refuse_unusable(self, stage):
        """Raise ValueError where the features cannot be computed from a stage's input."""
        problem = self._problem(stage)
        if problem is not None:
            raise ValueError(
                f"unfreeze={stage!r} {problem}; choose a stage on the main path of the encoder: "
                f"{self.shown_stages()}"
            )

    def _problem(self, stage):
        calls = self.calls[stage]
        if len(calls) != 1:
            return f"runs {len(calls)} times for an image, and must run once"
        found = calls[0].input
        if found is None:
            return "does not take one tensor alone, from which it could be run"
        if found.shape[:1] != (self._n_images,):
            return f"takes a tensor of shape {found.shape} for {self._n_images} images"
        nodes = _nodes_behind([self._end], found.edge)
        within = _nodes_behind(calls[0].output_edges, found.edge)
        goes_around = found.has_graph and any(
            found.edge in n.next_functions for n in nodes - within
        )
        above, below = _leaves(nodes), _leaves(_nodes_behind([found.edge], None))
        if found.is_image or (found.has_graph and not below & self._names.keys()):
            return "has no weights below it that could stay fixed (unfreeze=None trains everything)"
        if goes_around or id(self._image) in above:
            return "is not on the main path: the image reaches the features around it, too"
        shared = sorted(self._names[one] for one in above & below & self._names.keys())
        shared += self._shared_modules(stage)
        if shared:
            return f"shares {shared[0]!r} with what lies below, which cannot be fixed and train"
        if not above & self._names.keys():
            return "lets no gradient reach any weight of it or after it, so nothing would train"
        return None

    def _shared_modules(self, stage):
        """Name what runs below and above a stage and has values of its own, such as statistics."""
        begin = self.calls[stage][0].begin
        for name, calls in self.calls.items():
            if calls and calls[0].end < begin < calls[-1].begin:
                module = self._encoder.get_submodule(name)
                if module._parameters or module._buffers:
                    yield name

    def stages(self):
        """List all stages that can be trained, with what runs after them, in order."""
        names = [n for n in self.calls if n and list(self._encoder.get_submodule(n).parameters())]
        usable = [name for name in names if self._problem(name) is None]
        return sorted(usable, key=lambda name: self.calls[name][0].begin)

    def shown_stages(self):
        """List the coarse stages for an error."""
        usable = self.stages()
        shown = _outermost(usable)
        while 0 < len(shown) < _FEWEST_SHOWN:
            parts = {n: _outermost([u for u in usable if u.startswith(f"{n}.")]) for n in shown}
            name = max((n for n in shown if parts[n]), key=self._size, default=None)
            if name is None:
                break
            place = shown.index(name)
            shown[place : place + 1] = parts[name]
        names = ", ".join(map(repr, shown[:_MOST_SHOWN]))
        more = ", ..." if len(shown) > _MOST_SHOWN else ""
        return f"{names}{more}" if shown else "it has none, so leave unfreeze=None"

    def _size(self, name):
        return sum(p.numel() for p in self._encoder.get_submodule(name).parameters())


def _outermost(names):
    """Leave out names that lie within others of the list."""
    chosen = set(names)

    def is_within(name):
        parts = name.split(".")
        return any(".".join(parts[:n]) in chosen for n in range(1, len(parts)))

    return [name for name in names if not is_within(name)]


def trace_stages(encoder, images):
    """Run an encoder, and record what runs."""
    calls, clock = {name: [] for name, _ in encoder.named_modules()}, itertools.count()
    images, handles = images.clone().requires_grad_(), []
    for name, module in encoder.named_modules():
        under_way = []

        def begin(module, inputs, named, own=calls[name], under_way=under_way):
            under_way.append(_Call(next(clock), inputs, named, images))
            own.append(under_way[-1])

        def end(module, inputs, named, output, under_way=under_way):
            under_way.pop().finish(next(clock), output)

        handles.append(module.register_forward_pre_hook(begin, with_kwargs=True))
        handles.append(module.register_forward_hook(end, with_kwargs=True))
    try:
        return Trace(encoder, calls, images, flatten(encoder(images), encoder))
    finally:
        for handle in handles:
            handle.remove()


def refuse_unknown_stage(trace, stage):
    """Raise ValueError for a name that is no submodule, with the nearest and the stages."""
    if stage and stage in trace.calls:
        return
    hint = did_you_mean(stage, trace.stages())
    raise ValueError(
        f"unfreeze={stage!r} names no part of the encoder{'; ' if hint else '.'}{hint} Its stages "
        f"are {trace.shown_stages()}"
    )


def _nodes_behind(starts, stop):
    """Return the nodes of the graph of gradients that some edges depend on.

    An edge is a node and the number of its output; nothing behind the edge `stop` counts.
    """
    seen, todo = set(), list(starts)
    while todo:
        edge = todo.pop()
        if edge[0] is not None and edge not in seen and edge != stop:
            seen.add(edge)
            todo += edge[0].next_functions
    return {node for node, _ in seen}


def _leaves(nodes):
    """Return the ids of the tensors at which the graph of gradients ends."""
    return {id(node.variable) for node in nodes if hasattr(node, "variable")}
