"""``python -m bayes_mkt.cli``: the same as ``bayes-mkt``."""

from __future__ import annotations

import sys

from bayes_mkt.cli import main

sys.exit(main())
