"""What training changes in an encoder of the user's beside its tensors, which no file keeps."""

import warnings

from ..network import encoder_without_values

_PLAIN = (bool, int, float, str, type(None))
_N_SHOWN = 3


def warn_of_changed_attributes(classifier):
    """Warn of plain attributes of the encoder that are not as in one that is built anew."""
    backbone = classifier.network_arguments()["backbone"]
    fitted = getattr(classifier.module_, "encoder", None)
    if fitted is None or backbone is None or isinstance(backbone, str):
        return
    fresh = _plain_attributes(encoder_without_values(backbone))
    changed = _different(fresh, _plain_attributes(fitted))
    if changed:
        # What differs from one encoder to the next is decided when it is built, such as a time.
        again = _different(fresh, _plain_attributes(encoder_without_values(backbone)))
        changed = [name for name in changed if name not in again]
    if changed:
        warnings.warn(
            f"the encoder has changed {', '.join(map(repr, changed[:_N_SHOWN]))} since it was "
            "built, and a model file keeps tensors alone: the loaded model will have the first "
            "values; keep what changes in buffers (register_buffer)",
            UserWarning,
            stacklevel=5,
        )


def _plain_attributes(encoder):
    """Return the attributes of all modules that are plain values, as text by dotted name."""
    return {
        f"{name}.{attribute}".lstrip("."): repr(value)
        for name, module in encoder.named_modules()
        for attribute, value in vars(module).items()
        if attribute != "training" and type(value) in _PLAIN
    }


def _different(one, other):
    return [name for name in other if name in one and one[name] != other[name]]
