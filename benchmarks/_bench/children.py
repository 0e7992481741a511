"""Parts that need a process of their own."""

import json
import subprocess
import sys
import time


def run_child(script, settings):
    """Run a benchmark's hidden part in a fresh process."""
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
