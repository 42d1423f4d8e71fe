"""Known violations. Each one is removed with the change that fixes it.

Example: ``Expected("standstill", "POST /v1/files *", "The form is parsed on the event loop.")``
"""

from hostile.findings import Expected

EXPECTED: tuple[Expected, ...] = (
    Expected(
        "contract: Schema-valid request rejected",
        "POST /v1/chat/completions",
        "The specification of the API does not require the role of a message, which selects the kind of message.",
    ),
)
