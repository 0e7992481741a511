"""``python -m skosfusion`` is the command `skosfusion`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
