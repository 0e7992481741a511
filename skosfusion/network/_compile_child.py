"""What runs in the process that compiles an encoder; see `_compiled`."""

import io
import signal
import sys

import torch


def main():
    """Compile the encoder that comes through the standard input to the file that is named there."""
    # Written by the parent process a moment ago, and nobody else can write there.
    given = io.BytesIO(sys.stdin.buffer.read())
    encoder, images, dtype, path, most_seconds = torch.load(given, weights_only=False)
    # Should the parent be killed, this process does not stay.
    signal.alarm(int(most_seconds) + 1)
    compile_to(encoder, images, dtype, path)


def compile_to(encoder, images, dtype, path):
    """Compile an encoder for images of this shape, its weights laid out for it."""
    from torch._inductor import aoti_compile_and_package

    options = {
        "freezing": True,
        "compile_threads": 1,
        # These make the compiler slow, and what it makes no faster.
        "aot_inductor.compile_wrapper_opt_level": "O0",
        "aot_inductor.precompile_headers": False,
        # A worker process or a forked one has fewer threads than the code was compiled with.
        "cpp.dynamic_threads": True,
    }
    mixed = torch.autocast("cpu", dtype, enabled=dtype is not None)
    with torch.no_grad(), mixed:
        program = torch.export.export(encoder, (images,))
        aoti_compile_and_package(program, package_path=path, inductor_configs=options)
