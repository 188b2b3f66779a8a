"""Checks with names: one line each, and a last line that counts them."""
import sys
import time

from engine import Failure


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, name, action, *arguments, **options):
        """Runs one check. Gives what `action` gives, or None when it failed."""
        start = time.monotonic()
        try:
            result = action(*arguments, **options)
        except Failure as reason:
            self.failed += 1
            print(f"FAIL {name}: {reason}", flush=True)
            return None
        self.passed += 1
        print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
        return True if result is None else result

    def skip(self, name, reason):
        print(f"SKIP {name}: {reason}", flush=True)

    def close(self):
        """The last line; ends the program."""
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def equal(what, wanted, got):
    if wanted != got:
        raise Failure(f"{what}: wanted {wanted!r}, got {got!r}")
