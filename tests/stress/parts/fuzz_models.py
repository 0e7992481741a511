"""Model and pipeline files, sound and mutated, some with a digest that is right again."""

import copy
import hashlib
import io
import json
import os
import struct
import tempfile
import zipfile

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from skosfusion import (
    FusionClassifier,
    load_model,
    make_clinical_transformer,
    make_fusion_pipeline,
    save_model,
)
from skosfusion.exceptions import ModelFileError

from .mutations import mutate

_VALUES = [None, True, -1, 0, 1, 2**31, 2**63, 10**40, 1e308, 0.5, "", "resnet18", "vit_h_14"]
_VALUES += ["cpu", "cuda", "os.system", "builtins.eval", "subprocess.Popen", "../../x", "\x00"]
_VALUES += ["é" * 500, [], {}, [[]], [1] * 2000, {"a": 1}, {"class": "os.system"}]
_VALUES += [{"made": "os.system"}, "skosfusion.network.FusionNetwork", "torch.optim.Adam"]
_VALUES += [{"class": "torch.optim.SGD"}, "torch.nn.NLLLoss", "float64", "bfloat16", "<U5"]
_VALUES += ["object", "|V8", ["image"], "all"]
_DEPTHS = 10, 100, 900, 5000
_PICKLE_NAME = "payload"


def _bases():
    table = pd.DataFrame({"gender": ["F", "M"] * 4, "age": np.arange(8) + 20.0, "crp": 2.0})
    target = np.array(["none", "tumor"] * 4)
    numbers = table[["age", "crp"]].to_numpy(np.float32)
    small = {"hidden_units": 4, "max_epochs": 1, "random_state": 0, "verbose": 0}
    clinical = make_clinical_transformer(image=None, kits={"crp": ("crp", 0, 5)})
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        files = []
        for options in ({}, {"optimizer": torch.optim.Adam, "class_weight": "balanced"}):
            save_model(FusionClassifier(**small, **options).fit(numbers, target), path)
            files.append(_bytes(path))
        pipeline = make_fusion_pipeline(image=None, clinical=clinical, **small)
        save_model(pipeline.fit(table, target), path)
        files.append(_bytes(path))
    return files


def _bytes(path):
    with open(path, "rb") as file:
        return file.read()


class Maker:
    """Draws damaged and hostile model files."""

    def __init__(self, pickle_bytes):
        self._files = _bases()
        self._pickle = pickle_bytes

    def __call__(self, random):
        """Draw one; name and content."""
        choice = int(random.integers(len(self._files)))
        data = self._files[choice]
        name = "model.safetensors" if choice < 2 else "pipeline.safetensors"
        deed = random.random()
        if deed < 0.35:
            return name, mutate(data, random, [*self._files, self._pickle])
        if deed < 0.38:
            return name, self._pickle
        try:
            return name, self._changed(data, random)
        except (zipfile.BadZipFile, TypeError, ValueError, OverflowError):
            # A change upon a change may have no form in such a file.
            return name, mutate(data, random)

    def _changed(self, data, random):
        """Change a file as people do who know its format."""
        text, tensors = _open(data)
        description = json.loads(text)
        for _ in range(random.integers(1, 4)):
            kind = random.integers(4)
            if kind < 2:
                _change_json(description, random)
            elif kind == 2:
                _change_tensor(tensors, random)
            else:
                self._change_bytes(tensors, random)
        text = json.dumps(description)
        if random.random() < 0.05:
            depth = int(random.choice(_DEPTHS))
            text = text[:-1] + ', "x": ' + "[" * depth + "]" * depth + "}"
        elif random.random() < 0.05:
            text = mutate(text.encode(), random).decode(errors="replace")
        data = _close(text, tensors)
        return _change_header(data, random) if random.random() < 0.1 else data

    def _change_bytes(self, tensors, random):
        """Change the archive of a pipeline's steps, or plant the pickle in a tensor."""
        names = [name for name in tensors if tensors[name].dtype == torch.uint8]
        if names:
            archive = tensors[names[0]].numpy().tobytes()
            changed = _change_archive(archive, random, self._pickle)
            tensors[names[0]] = torch.frombuffer(bytearray(changed), dtype=torch.uint8)
        else:
            name = f"{_PICKLE_NAME}{random.integers(3)}"
            tensors[name] = torch.frombuffer(bytearray(self._pickle), dtype=torch.uint8)


def _open(data):
    (length,) = struct.unpack_from("<Q", data)
    text = json.loads(data[8 : 8 + length])["__metadata__"]["skosfusion"]
    return text, safetensors.torch.load(data)


def _close(text, tensors):
    """Write a file whose digest is right; a format like this one is no secret."""
    digest = hashlib.sha256(text.encode(errors="replace"))
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    metadata = {"skosfusion": text, "sha256": digest.hexdigest()}
    return safetensors.torch.save(tensors, metadata)


def _change_json(tree, random):
    """Replace, drop, double or rename something anywhere in the description."""
    places = []
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                nodes.append(node[key])
    if not places:
        return
    node, key = places[random.integers(len(places))]
    deed = random.integers(6)
    if deed < 3:
        # A copy: changed within the tree, a value would be so in every later file, even in itself.
        node[key] = copy.deepcopy(_VALUES[random.integers(len(_VALUES))])
    elif deed == 3:
        del node[key]
    elif deed == 4:
        other, other_key = places[random.integers(len(places))]
        # A copy: a tree that holds itself has no form in JSON.
        node[key] = json.loads(json.dumps(other.get(other_key) if isinstance(other, dict) else 1))
    elif isinstance(node, dict):
        node[f"{key}x"] = node.pop(key)


def _change_tensor(tensors, random):
    """Give a tensor another shape, type, name or content."""
    names = list(tensors)
    if not names:
        return
    name = names[random.integers(len(names))]
    tensor = tensors[name]
    deed = random.integers(7)
    if deed == 0:
        tensors[name] = tensor.reshape(-1)
    elif deed == 1:
        tensors[name] = tensor.reshape(*tensor.shape[::-1])
    elif deed == 2:
        kinds = [torch.float64, torch.int8, torch.bool, torch.bfloat16]
        tensors[name] = tensor.to(kinds[random.integers(len(kinds))])
    elif deed == 3:
        tensors[f"{name}x"] = tensors.pop(name)
    elif deed == 4:
        tensors[name] = (
            torch.full_like(tensor, float("nan")) if tensor.is_floating_point() else tensor
        )
    elif deed == 5:
        shape = [(0,), (0, 2**40), (2**62, 0), (1, 1, 1), ()][random.integers(5)]
        tensors[name] = torch.zeros(shape)
    else:
        del tensors[name]


def _change_archive(archive, random, pickle_bytes):
    """Change what skops wrote: its schema, or bytes of the archive."""
    if random.random() < 0.3:
        return mutate(archive, random, [pickle_bytes])
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(result, "w") as new:
        for entry in old.namelist():
            content = old.read(entry)
            if entry == "schema.json":
                schema = json.loads(content)
                for _ in range(random.integers(1, 4)):
                    _change_json(schema, random)
                content = json.dumps(schema).encode()
            elif random.random() < 0.3:
                content = pickle_bytes if random.random() < 0.5 else mutate(content, random)
            new.writestr(entry, content)
        if "object.pkl" not in new.namelist():
            new.writestr("object.pkl", pickle_bytes)
    return result.getvalue()


def _change_header(data, random):
    """Change shapes, offsets and types in the header of safetensors."""
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    _change_json(header, random)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def use(path, random):
    """Load the file; predict with what comes out of it."""
    load_model(path)


#: Errors that are documented for a file that is there.
ERRORS = (ModelFileError,)
#: Warnings that are documented: other versions, a device that is not here.
WARNINGS = (UserWarning,)
