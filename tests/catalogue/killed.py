"""Programs that are killed at a chosen moment of writing a file."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]

# What a moment exchanges: from then on the process does not live to do it.
MOMENTS = {
    "writing": "import builtins; from skosfusion._utils import files\n"
    "class Half:\n"
    "    def __init__(self, file): self.file = file\n"
    "    def __enter__(self): return self\n"
    "    def __exit__(self, *error): self.file.close()\n"
    "    def write(self, content):\n"
    "        self.file.write(content[: len(content) // 2]); self.file.flush(); die()\n"
    "def half(path, mode, **options):\n"
    "    file = builtins.open(path, mode, **options)\n"
    "    return file if mode == 'rb' else Half(file)\n"
    "files.open = half\n",
    "replacing": "os.replace = lambda *paths: die()\n",
}
_START = """
import os, signal, sys
sys.path.insert(0, {root!r})
def die():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_killed(code, moment, **values):
    """Run code that is killed when it writes a file; `moment` is set from the line KILL on.

    Parameters
    ----------
    code : str
        The program.
    moment : {"writing", "replacing"}
        Half of the content is written, or all of it and the file not in its place yet.
    **values
        Variables of the program.
    """
    start = _START.format(root=str(_ROOT)) + "".join(f"{k} = {v!r}\n" for k, v in values.items())
    program = start + code.replace("KILL\n", MOMENTS[moment])
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, (done.returncode, done.stderr)
