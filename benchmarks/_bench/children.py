"""Parts that need a process of their own."""

import json
import subprocess
import sys
import time


def run_child(script, settings):
    """Run a benchmark's hidden part in a fresh process.

    Parameters
    ----------
    script : str
        The benchmark's file.
    settings : dict
        What the part is to do.

    Returns
    -------
    result : dict
        What it printed last, as JSON.
    seconds : float
        Time from its start to its end.
    """
    started = time.perf_counter()
    # The command is this Python with this file.
    finished = subprocess.run(  # noqa: S603
        [sys.executable, script, "--child", json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - started
    if finished.returncode:
        sys.exit(f"the part {settings} failed with code {finished.returncode}")
    return json.loads(finished.stdout.splitlines()[-1]), elapsed
