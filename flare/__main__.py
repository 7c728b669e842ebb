"""``python -m flare`` is the command ``flare``."""

import sys

from flare.cli import main

if __name__ == "__main__":
    sys.exit(main())
