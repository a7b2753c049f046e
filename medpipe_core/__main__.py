"""`python -m medpipe_core` is `medpipe-run`: a whole run, with the same words.

It is for where the environment's commands are not on the path: `python -m medpipe_core --help`.
"""

import sys

from medpipe_core.command.medpipe_run import main

if __name__ == "__main__":
    sys.exit(main())
