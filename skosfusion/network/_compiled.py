"""Encoders compiled to native code, by torch's own compiler, in a process of its own.

A process of its own can be ended when it hangs, leaves no workers and no settings behind, and
traces nothing in this one. What it makes lies in a folder of the user's, for the owner alone: it is
code, so nothing that others can write is loaded, and a cache folder that is shared never holds it.
To run it, torch unpacks it into a folder for the owner alone below the one for temporary files.
"""

import contextlib
import functools
import hashlib
import io
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import nn

from .._utils.files import read_regular_file, write_atomically
from .._utils.private_folders import is_private, make_private_folder
from ._inference import gives_same, images_to_compare

#: Seconds that a compiler may take, with the start of its process.
MOST_SECONDS = 300
# Compiled encoders that are kept; the oldest leave first.
_MOST_BYTES = 2**30
_MOST_BYTES_EACH = 2**32
_SUFFIX, _SCRATCH = ".pt2", "work-"
_MOST_SECONDS_TO_TELL = 10
_PACKAGE_HOME = Path(__file__).parents[2]
_COMPILERS = "g++", "clang++", "c++"
_CHILD = "from skosfusion.network._compile_child import main; main()"


class CannotCompileError(Exception):
    """An encoder cannot be compiled here, or gives other features then."""


def has_compiler():
    """Return whether there is a C++ compiler."""
    return os.name == "posix" and _compiler() is not None


def _compiler():
    """Return the command of the C++ compiler, or None."""
    commands = [os.environ["CXX"]] if os.environ.get("CXX") else _COMPILERS
    with contextlib.suppress(ValueError):  # quotation marks that do not end
        return next((c for c in commands if shutil.which(shlex.split(c)[0])), None)
    return None


@functools.cache
def _version(command):
    """Return what the compiler of a command calls itself, which decides on the last digits."""
    try:
        # What the user names for this purpose.
        told = subprocess.run(  # noqa: S603
            [*shlex.split(command), "--version"],
            capture_output=True,
            timeout=_MOST_SECONDS_TO_TELL,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return told.stdout.decode(errors="replace").partition("\n")[0]


def native_code_facts():
    """Return what decides on the native code of an encoder beside torch: processor, compiler."""
    command = _compiler()
    return *_processor(), "no compiler" if command is None else _version(command)


def compiled(folded, shape, dtype, *, batch_size, key):
    """Return a compiled form of a folded encoder, made now or found in the user's folder.

    `key` tells the encoder, its number format, the software and what `native_code_facts` gives;
    `shape` is that of one image.
    """
    images = images_to_compare(batch_size, shape)
    name = hashlib.sha256(key + repr((batch_size, shape, dtype)).encode()).hexdigest()
    try:
        folder = _folder() / name
        found = _kept(folder, folded, images, dtype)
        if found is None:
            _compile(folder, folded, images, dtype)
            found = _load(folder)
            if found is None:
                raise CannotCompileError("what the compiler made is gone")
            _check(found, folded, images, dtype)
    except CannotCompileError:
        raise
    except Exception as error:
        raise CannotCompileError(f"{type(error).__name__}: {error}") from error
    return found


class CompiledEncoder(nn.Module):
    """Runs a compiled encoder on batches of the one size that it was compiled for."""

    def __init__(self, path):
        super().__init__()
        self._loader = torch._C._aoti.AOTIModelPackageLoader(str(path), "model", False, 1, -1)

    def forward(self, pixels):
        """Return the features."""
        return self._loader.boxed_run([pixels])[0]


def _processor():
    """Tell a processor by what it can do, as native code runs on no lesser one."""
    flags = ""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = next((line for line in file if line.startswith(("flags", "Features"))), "")
    return platform.machine(), flags


def _folder():
    """Return the user's folder of compiled encoders, made if need be."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(base).absolute() / "skosfusion" / "compiled"
    make_private_folder(folder)
    for place in (folder, folder.parent):
        if not is_private(place):
            raise CannotCompileError(f"others can write the folder {str(place)!r}")
    if not os.access(folder, os.W_OK):
        raise CannotCompileError(f"the folder {str(folder)!r} cannot be written")
    return folder


def _load(folder):
    """Load what was compiled earlier; None where there is nothing whole."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")) if is_private(folder) else ():
        with contextlib.suppress(OSError):
            content, _ = read_regular_file(path, _MOST_BYTES_EACH)
            if hashlib.sha256(content).hexdigest() == path.stem:
                del content
                return CompiledEncoder(path)
    return None


def _kept(folder, folded, images, dtype):
    """Return what was compiled earlier and gives these features; what is of no use is removed."""
    with contextlib.suppress(Exception):
        found = _load(folder)
        if found is not None:
            _check(found, folded, images, dtype)
        return found
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _compile(folder, folded, images, dtype):
    """Compile an encoder, and keep it."""
    scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=folder.parent))
    try:
        _run_child(scratch, folded, images, dtype)
        content, _ = read_regular_file(scratch / f"encoder{_SUFFIX}", _MOST_BYTES_EACH)
        _prune(folder.parent, _MOST_BYTES - len(content))
        make_private_folder(folder)
        name = hashlib.sha256(content).hexdigest() + _SUFFIX
        write_atomically(folder / name, content, mode=0o600)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run_child(scratch, folded, images, dtype):
    """Let another process compile; it and what it has started end with this function."""
    given = io.BytesIO()
    torch.save((folded, images, dtype, str(scratch / f"encoder{_SUFFIX}"), MOST_SECONDS), given)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, [_PACKAGE_HOME, *sys.path])),
        "CXX": _compiler() or "",
        "TORCHINDUCTOR_CACHE_DIR": str(scratch),
        "TORCHINDUCTOR_COMPILE_THREADS": "1",
        "TMPDIR": str(scratch),
        "OMP_NUM_THREADS": "1",
    }
    # The command is this Python with this package.
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _CHILD],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        cwd=scratch,
        start_new_session=True,
    ) as child:
        try:
            _, messages = child.communicate(given.getvalue(), timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            raise CannotCompileError(f"it took more than {MOST_SECONDS} s") from None
        finally:
            # It leads a group of its own, in which the compilers are.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
    if child.returncode:
        lines = messages.decode(errors="replace").strip().splitlines()
        raise CannotCompileError(lines[-1][:300] if lines else f"code {child.returncode}")


def _check(found, folded, images, dtype):
    """Compare features with those of the folded encoder."""
    mixed = torch.autocast("cpu", dtype, enabled=dtype is not None)
    with torch.inference_mode(), mixed:
        features, expected = found(images).float(), folded(images.clone()).float()
    if not gives_same(features, expected, dtype):
        raise CannotCompileError("its features differ from those of the encoder")


def _prune(folder, most_bytes):
    """Remove the oldest compiled encoders, and what killed processes left."""
    scratch = set(folder.glob(f"{_SCRATCH}*"))
    for place in scratch:
        # Nobody compiles for so long.
        with contextlib.suppress(OSError):
            if time.time() - place.stat().st_mtime > 2 * MOST_SECONDS:
                shutil.rmtree(place)
    files = [path for path in folder.glob(f"*/*{_SUFFIX}") if path.parent not in scratch]
    kept = sorted((path.stat().st_mtime, path) for path in files)
    n_bytes = sum(path.stat().st_size for _, path in kept)
    for _, path in kept:
        if n_bytes <= most_bytes:
            break
        n_bytes -= path.stat().st_size
        shutil.rmtree(path.parent, ignore_errors=True)
