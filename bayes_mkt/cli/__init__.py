"""The command line: parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from cyclopts import App, CycloptsError

import bayes_mkt
from bayes_mkt.cli.demo import demo
from bayes_mkt.cli.media_mix import media_mix
from bayes_mkt.errors import BayesMktError

__all__ = ["app", "main"]

FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

EPILOGUE: Final = (
    "Exit status: 0 done; 1 the data, the configuration or the sampler failed; "
    "2 wrong usage; 3 done, but the draws did not converge."
)

app = App(
    name="bayes-mkt",
    help="Bayesian models for marketing, from a data file to a report.",
    help_epilogue=EPILOGUE,
    help_format="markdown",
    version=bayes_mkt.__version__,
    suppress_keyboard_interrupt=False,
)
app.command(media_mix, name="media-mix")
app.command(demo, name="demo")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Parameters
    ----------
    arguments
        The words after ``bayes-mkt``; those of the process when not given.

    Returns
    -------
    int
        0 done; 1 the data, the configuration or the sampler failed, with the message on
        standard error; 2 wrong usage; 3 done, but the draws did not converge.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = app(words, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return USAGE
    except (BayesMktError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("Interrupted; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else 0
