"""The steps before the classifier as an archive of skops in which types go by public names."""

import io
import json
import warnings
import zipfile

import numpy as np
from sklearn.base import BaseEstimator

from ._trusted import FUNCTIONS, SCALARS, TRANSFORMERS, is_private, name_of, public_name

_SCHEMA = "schema.json"
# That of the paper's four inputs has 0.3 MB.
_MAX_SCHEMA_BYTES = 4 * 2**20
# What each kind of node of skops may be. Those that call methods, draw random numbers or read
# sparse matrices are left out: planted values in them do harm.
_LISTED = {
    "JsonNode": {"builtins.str"},
    "DictNode": {"builtins.dict"},
    "ListNode": {"builtins.list"},
    "TupleNode": {"builtins.tuple"},
    "SetNode": {"builtins.set"},
    "SliceNode": {"builtins.slice"},
    "DTypeNode": {"numpy.dtype"},
    "NdArrayNode": {"numpy.ndarray", *SCALARS},
    "TypeNode": set(SCALARS),
    "FunctionNode": set(FUNCTIONS),
    "ObjectNode": set(TRANSFORMERS),
    "PartialNode": set(),
    "ConstructorFromReduceNode": set(),
}
_OPEN_TO_TRUST = {
    "TypeNode",
    "FunctionNode",
    "ObjectNode",
    "PartialNode",
    "ConstructorFromReduceNode",
}


def import_skops():
    """Import skops, or say which extra has it."""
    try:
        import skops.io
    except ImportError as error:
        raise ImportError(
            "saving and loading a pipeline needs skops: pip install 'skosfusion[skops]'"
        ) from error
    return skops


def pack_steps(steps, classifier_step):
    """Write the steps to an archive that `unpack_steps` reads; refuse what it would refuse."""
    skops = import_skops()
    try:
        archive, unlisted = _with_public_names(_archive(skops, steps))
        private = [name for name in unlisted if is_private(name)]
        if private:
            raise TypeError(f"it holds {', '.join(private)}, which nobody could trust by name")
        unpack_steps(archive, unlisted)
    except Exception as error:
        raise ValueError(
            f"the steps before {classifier_step!r} cannot be saved: {error}; use transformers that "
            f"are listed ({', '.join(name.rpartition('.')[2] for name in TRANSFORMERS)}) or your "
            "own, and functions that can be imported"
        ) from error
    if unlisted:
        warnings.warn(
            f"the steps before {classifier_step!r} name {', '.join(unlisted)}, which load_model "
            f"builds only for whoever trusts the file: load_model(path, trusted={unlisted})",
            stacklevel=3,
        )
    return archive


def _archive(skops, steps):
    """Let skops write the steps, or name every type in them that it cannot."""
    try:
        return skops.io.dumps(steps)
    except Exception as error:
        refused = sorted({name_of(type(part)) for part in _parts(steps) if not _fits(skops, part)})
        raise TypeError(
            f"it holds {', '.join(refused) or 'something'}, which skops cannot write ({error})"
        ) from error


def _fits(skops, part):
    if isinstance(part, BaseEstimator | dict | list | tuple | set):
        return True
    try:
        skops.io.dumps(part)
    except Exception:  # noqa: BLE001 - objects of others may raise anything
        return False
    return True


def _with_public_names(archive):
    """Name the types in an archive as they are imported; also return those not listed."""
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        parts = {name: source.read(name) for name in source.namelist()}
    schema = json.loads(parts[_SCHEMA])
    for node in _nodes(schema):
        node.pop("__id__", None)
        module, name = node["__module__"], node["__class__"]
        node["__module__"] = public_name(module, name).rpartition(".")[0]
    unlisted = _unlisted(schema, trusted=())
    parts[_SCHEMA] = json.dumps(schema).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as target:
        for name, content in parts.items():
            target.writestr(name, content)
    return packed.getvalue(), unlisted


def unpack_steps(archive, trusted):
    """Build the steps of an untrusted archive, if it names only what is listed or trusted."""
    skops = import_skops()
    names = {item if isinstance(item, str) else name_of(item) for item in trusted}
    with zipfile.ZipFile(io.BytesIO(archive)) as archived:
        schema = _read_schema(archived, len(archive))
        _refuse_large_arrays(archived)
    unknown = _unlisted(schema, names)
    if unknown:
        raise ValueError(
            f"its steps name {', '.join(unknown)!s:.300}, which is not trusted; if you know where "
            "the file comes from, pass it: trusted=[...]"
        )
    steps = skops.io.loads(archive, trusted=sorted(names.union(*_LISTED.values())))
    if not isinstance(steps, list):
        raise TypeError(f"its steps are a {type(steps).__name__}, not a list")
    for name, step in steps:
        is_step = step is None or step == "passthrough" or hasattr(step, "transform")
        if not isinstance(name, str) or not is_step:
            raise TypeError(f"its step {name!r:.50} is not a transformer")
    _disable_caches_and_jobs(steps)
    return steps


def _read_schema(archived, n_bytes):
    """Read what an archive describes, unless it would unpack to more than it is."""
    sizes = {entry.filename: entry.file_size for entry in archived.infolist()}
    if sum(sizes.values()) > n_bytes:
        raise ValueError(f"its steps would unpack from {n_bytes} bytes to more")
    if sizes[_SCHEMA] > _MAX_SCHEMA_BYTES:
        raise ValueError(f"the description of its steps has {sizes[_SCHEMA]} bytes")
    schema = json.loads(archived.read(_SCHEMA))
    total = sum(sizes.get(str(part.get("file")), 0) for part in _dicts(schema))
    if total > 2 * n_bytes:
        raise ValueError(f"its steps would unpack from {n_bytes} bytes to {total}")
    # A part that is named twice or in itself could grow without bound.
    if any("__id__" in part for part in _dicts(schema)):
        raise ValueError("its steps refer to parts of themselves")
    return schema


def _refuse_large_arrays(archived):
    """Refuse an array that claims more values than its bytes hold, or values of an odd type."""
    for entry in archived.infolist():
        if entry.filename == _SCHEMA:
            continue
        with archived.open(entry) as file:
            version = np.lib.format.read_magic(file)
            read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
                version, np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
        n_values = int(np.prod([int(length) for length in shape], dtype=object))
        if n_values * max(dtype.itemsize, 1) > entry.file_size or dtype.kind not in "biufUSMm":
            raise ValueError(f"its steps hold an array of shape {shape!s:.100}, type {dtype!s:.50}")


def _dicts(schema):
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _nodes(schema):
    return (part for part in _dicts(schema) if "__loader__" in part)


def _unlisted(schema, trusted):
    """List what a schema names and is neither on the own list nor trusted."""
    unlisted = set()
    for node in _nodes(schema):
        loader, name = node["__loader__"], f"{node['__module__']}.{node['__class__']}"
        if loader not in _LISTED:
            unlisted.add(f"{name} (as {loader!s:.50})")
        elif name not in _LISTED[loader] and not (loader in _OPEN_TO_TRUST and name in trusted):
            unlisted.add(name)
    return sorted(unlisted)


def _disable_caches_and_jobs(steps):
    """Switch off what untrusted steps would do here: read cached pickles, start processes."""
    for part in _parts(steps):
        if isinstance(part, BaseEstimator):
            for name in {"memory", "n_jobs"} & vars(part).keys():
                setattr(part, name, None)


def _parts(steps):
    """Give the steps, and everything in them."""
    seen, waiting = set(), [steps]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        if isinstance(part, BaseEstimator):
            waiting.extend(vars(part).values())
        elif isinstance(part, dict):
            waiting.extend(part.values())
        elif isinstance(part, list | tuple | set):
            waiting.extend(part)
        elif isinstance(part, np.ndarray) and part.dtype == object:
            waiting.extend(part.ravel().tolist())
