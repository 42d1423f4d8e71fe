"""The process that tries a chat template before its model is served.

Started as ``python -m ponant.catalog.loading.template_worker SECONDS MEMORY``: the most seconds of processor time, and
the most bytes of memory beyond those of the started process. Standard input is JSON: the arguments of ``ChatTemplate``.
The process ends by SIGPROF if the template takes longer, and with the status ``TOO_LARGE`` if it makes too much.
"""

import json
import sys

from jinja2 import TemplateError

from ponant.catalog.loading.templates import TOO_LARGE
from ponant.processes.limits import limit_memory, limit_time
from ponant.prompts.chat.extent import TooLargeError
from ponant.prompts.chat.templates import ChatTemplate, TemplateRefusedError
from ponant.prompts.chat.turns import Turn

_TURNS = 200
_USER, _ASSISTANT = Turn("user", "Who wrote Faust?"), Turn("assistant", "Johann Wolfgang von Goethe.")
_SYSTEM = Turn("system", "Answer briefly.")
_CONVERSATIONS = ([_USER], [_SYSTEM, _USER], [*[_USER, _ASSISTANT] * _TURNS, _USER])
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string", "description": "a city"}}}
_FUNCTION = {"name": "weather", "description": "Return the weather.", "parameters": _PARAMETERS}
_TOOLS = [{"type": "function", "function": _FUNCTION}]


def main() -> None:
    """Compile the template, and render typical conversations."""
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    arguments = json.load(sys.stdin)
    limit_memory(memory)
    limit_time(seconds)
    try:
        template = ChatTemplate(**arguments)
    except TemplateError:
        return  # a plain one is used in its place
    for conversation in _CONVERSATIONS:
        for tools in ([], _TOOLS):
            try:
                template.render(conversation, tools=tools)
            except TemplateRefusedError as refused:
                if isinstance(refused.__context__, TooLargeError | MemoryError):
                    sys.exit(TOO_LARGE)


if __name__ == "__main__":
    main()
