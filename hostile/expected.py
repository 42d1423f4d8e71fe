"""Known violations. Each one is removed with the change that fixes it."""

from hostile.findings import Expected

EXPECTED: tuple[Expected, ...] = ()
