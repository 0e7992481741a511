"""Files of weights that want to do harm: all refused, nothing run, and little memory taken."""

import builtins
import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
import torch

from skosfusion.exceptions import WeightsError
from skosfusion.network import _pickle_scan, _torch_files, load_encoder_state

from .._helpers.tiny import TinyEncoder
from .test_weight_files import ENCODER, LEGACY, STATE, below, save_legacy, save_safetensors


@pytest.fixture
def torch_is_not_asked(monkeypatch):
    """What is refused before torch reads it neither runs nor fills the memory."""
    monkeypatch.setattr(torch, "load", lambda *args, **options: pytest.fail("torch reads it"))


def refused(path, match):
    """Return the error that refuses a file, and see that it took little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=match) as error:
            load_encoder_state(TinyEncoder, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**25
    assert str(path) in str(error.value)
    return str(error.value)


class Call:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stored:
    """Pickled as a reference to a storage of float32."""

    def __init__(self, n_numbers, key="0"):
        self.n_numbers, self.key = n_numbers, key


def tensor(stored, shape, strides, offset=0):
    return Call(torch._utils._rebuild_tensor_v2, stored, offset, shape, strides, False, {})


class StoragePickler(pickle.Pickler):
    """Writes what `torch.save` would, and what it would not."""

    def __init__(self, file, end):
        super().__init__(file, protocol=2)
        self.end = end

    def persistent_id(self, thing):
        if not isinstance(thing, Stored):
            return None
        return ("storage", torch.FloatStorage, thing.key, "cpu", thing.n_numbers, *self.end)


def pickled(content, end=()):
    file = io.BytesIO()
    StoragePickler(file, end).dump(content)
    return file.getvalue()


def write_archive(path, data, numbers=b"", **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("a/data.pkl", data)
        archive.writestr("a/byteorder", "little")
        archive.writestr("a/data/0", numbers)
        archive.writestr("a/version", "3\n")


def write_legacy(path, data, n_numbers=0, numbers=b""):
    sizes = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [pickled(0x1950A86A20F9469CFC6C), pickled(1001), pickled(sizes), data, pickled(["0"])]
    path.write_bytes(b"".join(parts) + struct.pack("<q", n_numbers) + numbers)


def test_files_made_here_are_read_where_they_are_right(tmp_path):
    """The hostile files below differ from these in one thing each."""
    numbers = b"".join(value.float().numpy().tobytes() for value in STATE.values())
    start, state, stored = 0, {}, Stored(len(numbers) // 4)
    for name, value in STATE.items():
        state[name] = tensor(stored, tuple(value.shape), value.stride(), start)
        start += value.numel()
    write_archive(tmp_path / "a.pth", pickled(state), numbers)
    write_legacy(tmp_path / "b.pth", pickled(state, (None,)), len(numbers) // 4, numbers)
    for name in ("a.pth", "b.pth"):
        loaded = load_encoder_state(TinyEncoder, tmp_path / name)
        assert all(torch.equal(loaded[key], value) for key, value in STATE.items())


@pytest.mark.parametrize("write", [write_archive, write_legacy])
@pytest.mark.parametrize("function", [os.system, builtins.eval, Path.touch])
@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_call_is_not_run(write, function, tmp_path):
    trace = tmp_path / "trace"
    command = {
        os.system: f"touch {trace}",
        builtins.eval: f"open({str(trace)!r}, 'w')",
        Path.touch: trace,
    }[function]
    write(tmp_path / "a.pth", pickled({"conv.weight": Call(function, command)}))
    message = refused(tmp_path / "a.pth", "holds more than tensors, which could run code")
    assert "save the state dict alone" in message
    assert not trace.exists()


class Registered:
    """A class that some library has registered with torch."""

    built = 0

    def __setstate__(self, state):
        type(self).built += 1


def rather(*arguments):
    """Registered in the place of a function of torch."""
    Registered.built += 1
    return {}


def test_what_the_process_registered_is_not_built(tmp_path):
    registered = Registered()
    registered.value = 1
    torch.save(STATE | {"more": registered}, tmp_path / "a.pth")
    with torch.serialization.safe_globals([Registered]):
        torch.load(tmp_path / "a.pth", weights_only=True)
        assert Registered.built == 1  # as torch does
        before = torch.serialization.get_safe_globals()
        refused(tmp_path / "a.pth", r"could run code: .*Registered is named in it")
        assert torch.serialization.get_safe_globals() == before
        assert Registered in before
    torch.save(STATE, tmp_path / "a.pth")
    with torch.serialization.safe_globals([(rather, "torch._utils._rebuild_tensor_v2")]):
        assert load_encoder_state(TinyEncoder, tmp_path / "a.pth")
    assert Registered.built == 1


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_storage_that_claims_more_than_the_file_is_not_allocated(tmp_path):
    state = {"conv.weight": tensor(Stored(2**40), (2**40,), (1,))}
    write_legacy(tmp_path / "a.pth", pickled(state, (None,)), 2**40, b"\0" * 64)
    refused(tmp_path / "a.pth", "its tensors claim 4398046511104 bytes, and it has")
    write_archive(tmp_path / "a.pth", pickled(state), b"\0" * 64)
    refused(tmp_path / "a.pth", "claims 4398046511104 bytes in storage 0, and there are 64")


@pytest.mark.parametrize("write", ["archive", "legacy"])
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((2**36,), (1,), 0),
        ((2,), (16,), 0),
        ((16,), (1,), 1),
        ((2**40,), (0,), 0),
        ((2**20, 2**20), (0, 0), 0),
        ((16,), (-1,), 15),
        ((2,), (2**70,), 0),
    ],
)
@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_tensor_that_reaches_beyond_its_storage(write, shape, strides, offset, tmp_path):
    state = {"conv.weight": tensor(Stored(16), shape, strides, offset)}
    if write == "archive":
        write_archive(tmp_path / "a.pth", pickled(state), b"\0" * 64)
    else:
        write_legacy(tmp_path / "a.pth", pickled(state, (None,)), 16, b"\0" * 64)
    refused(tmp_path / "a.pth", "numbers are stored for it|negative or unreadable")


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_legacy_file_that_contradicts_itself(tmp_path):
    path, whole = tmp_path / "a.pth", tensor(Stored(16), (16,), (1,))
    write_legacy(path, pickled({"a": whole}, (None,)), 2**40, bytes(64))
    refused(path, "cut off or damaged at storage 0")
    write_legacy(path, pickled({}, (None,)), 16, bytes(64))
    refused(path, "its list of storages is not that of its tensors")
    two = {"a": whole, "b": tensor(Stored(8), (8,), (1,))}
    write_legacy(path, pickled(two, (None,)), 16, bytes(64))
    refused(path, "refers to storage 0 in two ways")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickled(Call(torch.FloatStorage, 2**40)), r"calls torch\.FloatStorage"),
        (b"\x80\x02]}b.", "sets attributes"),
        (b"\x80\x02K\x01K\x02a.", "appends to what is not a list"),
        (b"\x80\x02]K\x01K\x02s.", "sets items of what is not a dict"),
        (b"\x80\x02h\x05.", "its pickle is damaged"),
        (b"\x80\x02K\x01)R.", "calls what is not a function"),
        (b"\x80\x02K\x01Q.", "refers to what is not a storage"),
        (b"\x80\x02" + b"c" + b"x" * 10_000, "names something too long"),
    ],
)
@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_pickle_that_no_state_dict_needs(data, message, tmp_path):
    write_archive(tmp_path / "a.pth", data)
    refused(tmp_path / "a.pth", message)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.usefixtures("torch_is_not_asked")
def test_an_archive_that_torch_does_not_write(tmp_path):
    path = tmp_path / "a.pth"
    write_archive(path, pickled({}), compression=zipfile.ZIP_DEFLATED)
    refused(path, "its entries are compressed")
    write_archive(path, pickled({}))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/data.pkl", pickled([]))
    refused(path, "several entries of one name")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "")
    refused(path, "an archive without data.pkl")


@pytest.mark.usefixtures("torch_is_not_asked")
def test_an_archive_that_unpacks_to_more(tmp_path):
    state = {"conv.weight": tensor(Stored(2**24), (2**24,), (1,))}
    zeros = bytes(2**26)
    write_archive(tmp_path / "a.pth", pickled(state), zeros, compression=zipfile.ZIP_DEFLATED)
    refused(tmp_path / "a.pth", r"its \d+ bytes would unpack to 671\d+")


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_long_table_of_contents(tmp_path, monkeypatch):
    monkeypatch.setattr(_torch_files, "_MAX_CONTENTS_BYTES", 2**10)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        for number in range(100):
            archive.writestr(f"a/data/{number}", b"")
    refused(tmp_path / "a.pth", "table of contents has more than 1024 bytes")


def doubled(n_times):
    """A tuple that holds one twice, and so on: a walk through it takes 2 ** n_times steps."""
    value = ()
    for _ in range(n_times):
        value = value, value
    return value


def nested(depth):
    """A pickle of lists in lists, as no pickler could write it."""
    return b"\x80\x02}X\x01\0\0\0a" + b"]" * depth + b"a" * (depth - 1) + b"s."


@pytest.mark.parametrize("write", [write_archive, write_legacy])
def test_a_pickle_that_would_fill_time_or_memory(write, tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    write(path, pickled({"more": doubled(90)}))
    if write is write_archive:  # nothing that is wrong with it, but no weights
        refused(path, "7 of 7 entries are missing")
        write(path, nested(100_000))
        refused(path, "7 of 7 entries are missing")
    # Python could not hash such a key here either, so it is put into a dict by hand.
    write(path, b"\x80\x02}" + pickled(doubled(90))[2:-1] + b"Ns.")
    refused(path, "has a tuple as the key of a dict")
    monkeypatch.setattr(_pickle_scan, "_MAX_STEPS", 1000)
    write(path, pickled({"more": [None] * 1000}))
    refused(path, "takes more than 1000 steps")


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_pickle_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(_torch_files, "MAX_PICKLE_BYTES", 100)
    write_archive(tmp_path / "a.pth", pickled({"more": "x" * 200}))
    refused(tmp_path / "a.pth", "its pickle has 2.. bytes, more than 100")


@pytest.mark.parametrize("key", ["items", "__class__"])
@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_dict_whose_methods_are_hidden(key, tmp_path):
    state = b"\x80\x02ccollections\nOrderedDict\n)R}" + pickled(key)[2:-1] + b"Nsb."
    write_archive(tmp_path / "a.pth", state)
    refused(tmp_path / "a.pth", "hides a method of a dict")


@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_torchscript_archive_says_how_to_convert(tmp_path):
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickled({}))
        archive.writestr("a/code/__torch__/net.py", "def forward(self): pass\n" * 100)
        archive.writestr("a/constants.pkl", pickled(()))
    assert "torch.jit.load(path).state_dict()" in refused(path, "TorchScript archive, a program")


@pytest.mark.parametrize("options", [{}, LEGACY])
@pytest.mark.usefixtures("torch_is_not_asked")
def test_a_pickled_network_says_how_to_convert(options, tmp_path):
    torch.save(ENCODER, tmp_path / "a.pth", **options)
    message = refused(tmp_path / "a.pth", "TinyEncoder is named in it. It seems to be a whole")
    assert "torch.save(model.state_dict(), path)" in message


@pytest.mark.usefixtures("torch_is_not_asked")
def test_other_things_beside_the_weights_are_named(tmp_path):
    torch.save({"state_dict": STATE, "hyper_parameters": Path("x")}, tmp_path / "a.ckpt")
    message = refused(tmp_path / "a.ckpt", r"holds more than tensors.*Path is named in it")
    assert "whole network" not in message


@pytest.mark.parametrize("save", [torch.save, save_legacy, save_safetensors])
def test_a_file_that_is_cut_anywhere(save, tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "a.pth"
    save(STATE, whole)
    content = whole.read_bytes()
    for n_bytes in (0, 1, 10, 100, 700, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:n_bytes])
        refused(path, "is not a readable state dict")


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.usefixtures("torch_is_not_asked")
def test_another_protocol_is_named_with_the_remedy(protocol, tmp_path):
    torch.save(STATE, tmp_path / "a.pth", pickle_protocol=protocol)
    refused(tmp_path / "a.pth", f"with protocol {protocol}.*pickle_protocol=2, the default")
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Call(os.system, "true"), protocol))
    refused(tmp_path / "a.pth", f"with protocol {protocol}")


@pytest.mark.parametrize(
    "kind", ["folder", "pipe", "link to a pipe", "link to itself", "dead link"]
)
def test_what_is_not_a_file(kind, tmp_path):
    path = tmp_path / "a.pth"
    if kind == "folder":
        path.mkdir()
    elif "pipe" in kind:
        os.mkfifo(tmp_path / "pipe")
        path.symlink_to(tmp_path / "pipe")
        path = tmp_path / "pipe" if kind == "pipe" else path
    else:
        path.symlink_to(path if "itself" in kind else tmp_path / "nothing")
    refused(path, "folder, pipe or device|does not exist|not a readable")


def test_a_link_to_a_file_is_followed(tmp_path):
    torch.save(STATE, tmp_path / "blob")
    (tmp_path / "a.pth").symlink_to(tmp_path / "blob")
    assert load_encoder_state(TinyEncoder, tmp_path / "a.pth").report.n_tensors == 7


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x1f\x8b" + b"\0" * 600, "compressed by gzip"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"\x89HDF\r\n" + b"\0" * 600, "an HDF5 file"),
    ],
)
def test_files_that_are_often_taken_for_weights_are_named(content, what, tmp_path):
    (tmp_path / "a.bin").write_bytes(content)
    refused(tmp_path / "a.bin", what)


@pytest.mark.parametrize(
    ("value", "what"), [(torch.nan, "non-finite"), (1j, "complex"), (torch.inf, "non-finite")]
)
def test_numbers_that_are_no_weights_below_a_prefix(value, what, tmp_path):
    state = STATE | {"conv.bias": torch.full((8,), value)}
    torch.save({"state_dict": below("module.", state)}, tmp_path / "a.pth")
    assert "'conv.bias'" in refused(tmp_path / "a.pth", what)


def test_an_archive_with_two_faces_is_read_as_it_was_checked(tmp_path, monkeypatch):
    """Only what was checked is given to torch, in a new archive."""
    torch.save(STATE, tmp_path / "a.pth")
    seen = []

    def load(file, **options):
        seen.extend(zipfile.ZipFile(file).namelist())
        assert options == {"map_location": "cpu", "weights_only": True, "mmap": False}
        return STATE

    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("archive/code.py", "")
    monkeypatch.setattr(torch, "load", load)
    load_encoder_state(TinyEncoder, tmp_path / "a.pth")
    assert {name.split("/")[1] for name in seen} == {"data.pkl", "byteorder", "version", "data"}
