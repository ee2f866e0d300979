"""Asking a bot that runs whether it is well, from another process: with the standard library alone, for it is done all
the time. `python -m bot.watch.probe HOST:PORT` is the same as `python -m bot health`, and sooner there.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

WITHIN_S = 20.0


def ask(address: object) -> int:
    """Print what the bot at this HOST:PORT says of itself; the exit status, 1 where it is not well or says nothing."""
    if address is None:
        print("EASEL_WATCH is off: nothing can be looked at")
        return 1
    # A proxy has nothing to do with it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{address}/healthz", timeout=WITHIN_S) as answer:
            said, well = answer.read(), True
    except urllib.error.HTTPError as error:
        with error:
            said, well = error.read(), False
    except OSError as error:
        reason = getattr(error, "reason", error)
        print(f"no bot can be looked at on {address}: {reason}")
        return 1
    print(said.decode(errors="replace"), end="")
    return int(not well)


if __name__ == "__main__":
    sys.exit(ask(sys.argv[1] if len(sys.argv) == 2 else "127.0.0.1:32735"))
