"""``python -m bracketc`` is the command line."""

import sys

from bracketc.cli import main

sys.exit(main())
