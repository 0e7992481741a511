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
    fresh = dict(encoder_without_values(backbone).named_modules())
    changed = [
        f"{name}.{attribute}".lstrip(".")
        for name, module in fitted.named_modules()
        for attribute, value in vars(module).items()
        if attribute != "training"
        and type(value) in _PLAIN
        and name in fresh
        and repr(vars(fresh[name]).get(attribute)) != repr(value)
    ]
    if changed:
        warnings.warn(
            f"the encoder has changed {', '.join(map(repr, changed[:_N_SHOWN]))} since it was "
            "built, and a model file keeps tensors alone: the loaded model will have the first "
            "values; keep what changes in buffers (register_buffer)",
            UserWarning,
            stacklevel=5,
        )
