"""Become another program that is asked to end when its parent dies, however that died.

Run as a file: `python leash.py PARENT PROGRAM ARGUMENT...`. Only Linux has such a leash; elsewhere there is none.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the leash was on
            raise SystemExit(1)
    os.execv(program[0], program)  # noqa: S606 - the program and its arguments are our own command line


if __name__ == "__main__":
    main()
