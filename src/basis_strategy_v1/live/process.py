"""What this process leaves to others: core files, and its environment in /proc."""

from __future__ import annotations

import os
import sys

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Let this process and its children write no core file, and close its memory and /proc/PID to other processes of the same user.

    The second is Linux only. `basis live` calls it before it reads a secret. A debugger cannot be attached afterwards, but by root.

    Raises:
        ComponentError: CFG-003, the system does not allow it.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            why = os.strerror(ctypes.get_errno())
            raise ComponentError("CFG-003", f"core dumps cannot be switched off ({why}); allow prctl, so that no file can hold a key")


def overwrite_variable(name: str) -> None:
    """Overwrite the value of an environment variable where it stands (Linux): /proc/PID/environ shows that memory until the process ends.

    It is still set afterwards, to asterisks.
    """
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)
        libc.getenv.restype = ctypes.c_void_p
        libc.getenv.argtypes = (ctypes.c_char_p,)
        place = libc.getenv(os.fsencode(name))
        if place:
            ctypes.memset(place, ord("*"), len(ctypes.string_at(place)))
