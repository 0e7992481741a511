"""An encoder in two halves: what lies below a stage, and the stage with what runs after it.

Both are shallow copies of the tree of modules, made when they run: parameters, buffers and modules
are those of the one encoder, so that its state, its files and its heatmaps know of no halves.
"""

import copy

import torch
from torch import nn

from .._utils.locks import DRAWING
from ._encoders import flatten
from ._stages import refuse_unknown_stage, trace_stages

# Features in two halves may differ from those of the whole by the choice of kernels alone.
_TOLERANCE = 1e-4
# What stands for outputs that the upper half does not need: shapes alone where the code between
# them can do with that, else one number seen as a tensor.
_PLACEHOLDERS = "meta", "zeros"


class StageReached(BaseException):
    """The input of a stage, on its way out of the encoder; no error, so that nobody catches it."""

    def __init__(self, activation):
        super().__init__()
        self.activation = activation


class SplitEncoder:
    """Where an encoder is divided. It holds names and shapes, and no module or tensor.

    Parameters
    ----------
    stage : str
        Name of the stage, as ``named_modules`` has it.
    trace : Trace
        What one pass through the encoder has shown.
    placeholder : {"meta", "zeros"}
        What stands for outputs of layers below the stage in the upper half.

    Attributes
    ----------
    shape : tuple of int
        Shape of the stage's input for one image.
    image_shape : tuple of int
        Shape of one image.
    trained : frozenset of str
        Names of the parameters that the features depend on beside the stage's input.
    dtypes : dict of torch.dtype or None to torch.dtype
        In which type the stage takes its input, by the number format of mixed precision.
    """

    def __init__(self, stage, trace, placeholder):
        self.stage = stage
        self.shape = trace.calls[stage][0].input.shape[1:]
        self.trained = trace.parameters_above(stage)
        self.dtypes = {}
        self._is_channels_last = trace.calls[stage][0].input.is_channels_last
        self.image_shape = trace.image_shape
        self._skipped = trace.finished_before(stage)
        self._after = trace.begun_after(stage)
        self._above = trace.ancestors(stage)
        self._placeholder = placeholder

    @property
    def n_values(self):
        """Number of values of the stage's input for one image."""
        return torch.Size(self.shape).numel()

    def below(self, encoder):
        """Return the lower half; run, it raises `StageReached` with the stage's input."""
        return with_replaced(encoder, {self.stage: _Exit(encoder.get_submodule(self.stage))})

    def run_above(self, encoder, activations):
        """Return what the encoder makes of inputs of the stage."""
        parts = {
            name: _Skipped(encoder.get_submodule(name), call, self._placeholder)
            for name, call in self._skipped.items()
        }
        parts[self.stage] = _Entry(encoder.get_submodule(self.stage), activations)
        image = _stand_in(
            (len(activations), *self.image_shape), activations.dtype, self._placeholder, activations
        )
        return with_replaced(encoder, parts)(image)

    def train_above(self, encoder, mode):
        """Set the mode of the stage, and of what runs around and after it."""
        for name in self._above:
            encoder.get_submodule(name).training = mode
        for name in (self.stage, *self._after):
            encoder.get_submodule(name).train(mode)

    def parts_above(self, encoder):
        """List the modules that take no part below the stage."""
        return [encoder.get_submodule(name) for name in (self.stage, *self._after)]

    def as_rows(self, activations):
        """Return inputs of the stage as they are kept: one row of 16 bits a number for each."""
        if self._is_channels_last:
            activations = activations.permute(0, 2, 3, 1)
        return activations.to(torch.bfloat16).reshape(len(activations), -1).view(torch.int16)

    def from_rows(self, rows):
        """Return inputs of the stage, bf16, of the rows that `as_rows` made."""
        values = rows.view(torch.bfloat16)
        if not self._is_channels_last:
            return values.view(len(rows), *self.shape)
        n_channels, *sides = self.shape
        return values.view(len(rows), *sides, n_channels).permute(0, 3, 1, 2)


class _StandIn(nn.Module):
    """Runs in a module's place; what else is asked of it, the module answers."""

    def __init__(self, module):
        super().__init__()
        vars(self)["module"] = module  # not a part of this one

    def __getattr__(self, name):
        if name in vars(self).get("_modules", ()):
            return super().__getattr__(name)
        return getattr(vars(self)["module"], name)


class _Exit(_StandIn):
    """Stands for the stage in the lower half."""

    def forward(self, activation):
        raise StageReached(activation)


class _Entry(_StandIn):
    """Stands for the stage in the upper half."""

    def __init__(self, stage, activations):
        super().__init__(stage)
        self.activations = activations

    def forward(self, *_, **__):
        return vars(self)["module"](self.activations)


class _Skipped(_StandIn):
    """Stands for a layer below the stage in the upper half: its output has a shape, no values."""

    def __init__(self, module, call, placeholder):
        super().__init__(module)
        self.call, self.placeholder = call, placeholder

    def forward(self, *inputs, **named):
        like = next(v for v in (*inputs, *named.values()) if isinstance(v, torch.Tensor))

        def stand_in(spec):
            n_rows, *rest = spec.shape
            # Images may lie in several rows each.
            n_rows = n_rows * len(like) // self.call.n_rows
            return _stand_in((n_rows, *rest), spec.dtype, self.placeholder, like)

        return self.call.map_output(stand_in)


def _stand_in(shape, dtype, placeholder, like):
    if placeholder == "meta":
        return torch.empty(shape, dtype=dtype, device="meta")
    return torch.zeros((), dtype=dtype, device=like.device).expand(shape)


def with_replaced(module, parts):
    """Return a shallow copy of a module in which some submodules, by name, are others."""
    twin = type(module).__new__(type(module))
    vars(twin).update(vars(module))
    twin._modules = dict(module._modules)
    within = {}
    for name, part in parts.items():
        child, _, rest = name.partition(".")
        if rest:
            within.setdefault(child, {})[rest] = part
        else:
            twin._modules[child] = part
    for child, of_child in within.items():
        twin._modules[child] = with_replaced(twin._modules[child], of_child)
    return twin


def split_encoder(encoder, stage, image_size, n_channels=3):
    """Divide an encoder, of which nothing is changed, before a stage of its main path.

    The stage runs once and takes one tensor with a row for each image, from which alone the
    features can be computed; else a ValueError lists the stages of which that is true.
    """
    own = copy.deepcopy(encoder).eval()
    for parameter in own.parameters():
        parameter.requires_grad_(parameter.is_floating_point())
    images = _random_images(own, n_channels, image_size)
    with DRAWING, torch.random.fork_rng(devices=[]), torch.inference_mode(False):
        with torch.enable_grad():
            trace = trace_stages(own, images)
        refuse_unknown_stage(trace, stage)
        trace.refuse_unusable(stage)
        own.requires_grad_(False)
        order = [0, 1, 0]  # another number of images than in the pass that was recorded
        activation = _input_of_stage(own, stage, images[order])
        for placeholder in _PLACEHOLDERS:
            split = SplitEncoder(stage, trace, placeholder)
            problem = _difference(split, own, activation, trace.features[order])
            if problem is None:
                return split
    raise ValueError(
        f"unfreeze={stage!r}: the encoder {type(encoder).__name__} cannot be divided there, since "
        f"{problem}; choose another stage on its main path: {trace.shown_stages()}"
    )


def _random_images(encoder, n_channels, image_size):
    """Make two images that the caller's random state has no part in."""
    place = next(encoder.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, n_channels, image_size, image_size, generator=generator)
    images = images.to(place.device, place.dtype if place.is_floating_point() else torch.float32)
    return images.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _input_of_stage(encoder, stage, images):
    """Return what a stage takes for images, None where it is not reached."""
    try:
        with_replaced(encoder, {stage: _Exit(encoder.get_submodule(stage))})(images)
    except StageReached as reached:
        return reached.activation
    return None


@torch.no_grad()
def _difference(split, encoder, activation, expected):
    """Say how features computed in two halves differ from those of the whole encoder, or None."""
    if activation is None:
        return "it does not run in the lower half"
    if tuple(activation.shape) != (len(expected), *split.shape):
        return f"its input has the shape {tuple(activation.shape)} for {len(expected)} images"
    try:
        # A copy, since the stage may compute in place.
        found = flatten(split.run_above(encoder, activation.clone()), encoder)
        # Some encoders compute more in training; a copy, whose statistics may change.
        trained = copy.deepcopy(encoder)
        split.train_above(trained, True)
        in_training = flatten(split.run_above(trained, activation.clone()), encoder)
    except Exception as error:  # noqa: BLE001 - users' code may do anything with placeholders
        return f"the upper half fails without the lower one: {type(error).__name__}: {error}"
    if not all(
        one.shape == expected.shape and one.device == expected.device
        for one in (found, in_training)
    ):
        return "its input alone does not give the features"
    allowed = _TOLERANCE * float(expected.abs().max())
    if not torch.allclose(found, expected, rtol=0, atol=allowed, equal_nan=True):
        return "features computed from its input alone differ from those of the whole encoder"
    return None
