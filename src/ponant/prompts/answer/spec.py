"""Specification of an answer, read from the fields of a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from ponant.api.chat import ChatCompletionRequest, Function, Tool, ToolChoice
from ponant.api.messages import AssistantMessage
from ponant.errors import InvalidRequestError
from ponant.prompts.json_schema.rules import NamedSchema
from ponant.prompts.tools.call_formats import arguments_schema

_LONGEST_ECHO = 100
"""Most characters of an invalid name that an error repeats."""
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Calls = Literal["none", "auto", "required"]


@dataclass(frozen=True, slots=True)
class AnswerSpec:
    """Constraints on an answer.

    Attributes:
        tools: tools that the prompt describes.
        functions: the functions of them that the model may call, depending on ``calls``.
        calls: tool choice: no calls, text or calls, calls only.
        parallel: True if an answer may have several calls.
        schema: JSON schema that an answer without calls satisfies.
        reasoning: True if thinking precedes the answer.
        schemas: all schemas of the request.
    """

    tools: tuple[Tool, ...] = ()
    functions: tuple[Function, ...] = ()
    calls: Calls = "none"
    parallel: bool = True
    schema: dict[str, Any] | None = None
    reasoning: bool = False
    schemas: list[NamedSchema] = field(default_factory=list[NamedSchema])

    def with_schemas(self, schemas: Sequence[dict[str, Any]]) -> Self:
        """Return the specification with other schemas of the functions' arguments, in the order of ``schemas``.

        The prompt describes the tools as before.
        """
        pairs = zip(self.functions, schemas, strict=False)
        functions = tuple(function.model_copy(update={"parameters": schema}) for function, schema in pairs)
        return replace(self, functions=functions)


FREE = AnswerSpec()
"""Text without constraints."""


def read_answer_spec(request: ChatCompletionRequest) -> AnswerSpec:
    """Read the specification of the answer from a request.

    Raises:
        InvalidRequestError: a field is invalid, or fields contradict each other.
    """
    tools = request.tools or []
    _check_functions(tools)
    choice = request.tool_choice or "auto"
    if choice not in ("auto", "none") and not tools:
        raise InvalidRequestError(f"tool_choice is {_written(choice)}, but there are no tools", param="tool_choice")
    schema = _read_schema(request)
    if schema is not None and choice not in ("auto", "none"):
        raise InvalidRequestError(
            f"A response_format of JSON and tool_choice {_written(choice)} exclude each other: use auto or none",
            param="tool_choice",
        )
    spec = _without_schemas(request, tools if choice != "none" else [], choice, schema)
    _check_prefix(request, spec)
    called = {function.name for function in spec.functions}
    schemas = [
        NamedSchema(f"tools[{index}].function.parameters", arguments_schema(tool.function), strict=tool.function.strict)
        for index, tool in enumerate(tools)
        if tool.function.name in called
    ]
    if schema is not None and request.response_format and request.response_format.json_schema:
        schemas.append(NamedSchema("response_format.json_schema.schema", schema))
    spec.schemas.extend(schemas)
    return spec


def _without_schemas(
    request: ChatCompletionRequest, tools: Sequence[Tool], choice: ToolChoice | str, schema: dict[str, Any] | None
) -> AnswerSpec:
    functions = tuple(tool.function for tool in tools)
    calls: Calls = "none" if not tools else "auto" if choice == "auto" else "required"
    parallel = request.parallel_tool_calls is not False
    if isinstance(choice, ToolChoice):
        functions = tuple(function for function in functions if function.name == choice.function.name)
        parallel = False
        if not functions:
            raise InvalidRequestError(
                f"tool_choice names a function that is not among the tools: {_short(choice.function.name)!r}",
                param="tool_choice",
            )
    return AnswerSpec(tuple(tools), functions, calls, parallel, schema, _reasons(request))


def _check_functions(tools: Sequence[Tool]) -> None:
    names: set[str] = set()
    for index, tool in enumerate(tools):
        function, where = tool.function, f"tools[{index}].function"
        if not _FUNCTION_NAME.fullmatch(function.name):
            raise InvalidRequestError(
                f"Function name was {_short(function.name)!r} but must be a-z, A-Z, 0-9, or contain underscores and "
                "dashes, with a maximum length of 64",
                kind="invalid_function_definition",
                param=f"{where}.name",
            )
        if function.name in names:
            raise InvalidRequestError(
                f"There are two functions with the name {function.name!r}",
                kind="invalid_function_definition",
                param=f"{where}.name",
            )
        names.add(function.name)
        if function.parameters.get("type", "object") != "object":
            raise InvalidRequestError(
                f"The parameters of {function.name!r} must be a schema of type object",
                kind="invalid_function_definition",
                param=f"{where}.parameters",
            )


def _read_schema(request: ChatCompletionRequest) -> dict[str, Any] | None:
    wanted = request.response_format
    if wanted is None:
        return None
    if (wanted.json_schema is not None) != (wanted.type == "json_schema"):
        needs = "needs json_schema" if wanted.type == "json_schema" else "cannot have json_schema"
        raise InvalidRequestError(f"A response_format of type {wanted.type} {needs}", param="response_format")
    if wanted.json_schema:
        return wanted.json_schema.schema_definition
    return {"type": "object"} if wanted.type == "json_object" else None


def _reasons(request: ChatCompletionRequest) -> bool:
    if request.prompt_mode == "reasoning" and request.reasoning_effort == "none":
        raise InvalidRequestError(
            "prompt_mode reasoning and reasoning_effort none exclude each other", param="reasoning_effort"
        )
    return request.prompt_mode == "reasoning" or request.reasoning_effort not in (None, "none", "minimal")


def _check_prefix(request: ChatCompletionRequest, spec: AnswerSpec) -> None:
    last = request.messages[-1]
    if not isinstance(last, AssistantMessage) or not last.prefix:
        return
    for is_asked, what in (
        (spec.schema is not None, "a response_format of JSON"),
        (spec.calls == "required", "a tool_choice that demands a call"),
        (spec.reasoning, "reasoning"),
    ):
        if is_asked:
            raise InvalidRequestError(f"A prefix of the answer and {what} exclude each other", param="messages")


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_ECHO else f"{name[:_LONGEST_ECHO]}…"


def _written(choice: ToolChoice | str) -> str:
    return f"the function {_short(choice.function.name)!r}" if isinstance(choice, ToolChoice) else choice
