"""Model files: written and read again, and changed."""

import json

import safetensors.torch

from skosfusion import load_model, save_model
from skosfusion.persistence._file import _digest, read_model_file


def again(classifier, path, **options):
    save_model(classifier, path)
    return load_model(path, **options)


def rewrite(path, change):
    """Change the description or the tensors of a model file, and make the digest fit."""
    description, tensors = read_model_file(path)
    change(description, tensors)
    text = json.dumps(description)
    metadata = {"skosfusion": text, "sha256": _digest(text, tensors)}
    path.write_bytes(safetensors.torch.save(tensors, metadata))
