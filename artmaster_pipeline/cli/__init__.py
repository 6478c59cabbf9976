"""`artmaster`: the terminal's front door. Each command calls one room and prints what came of it.

Exit codes: 0 done, 1 the work failed, 2 wrong use, 130 stopped, 141 nobody reads the output any more. With `--json`,
stdout holds JSON and nothing else; progress and messages go to stderr.
"""

from artmaster_pipeline.cli.app import app, main

__all__ = ["app", "main"]
