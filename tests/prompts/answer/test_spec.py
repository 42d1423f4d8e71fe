"""Specifications read from requests, and the error of each contradiction."""

from typing import Any

import pytest

from ponant.api.chat import ChatCompletionRequest
from ponant.errors import InvalidRequestError
from ponant.prompts.answer.spec import FREE, AnswerSpec, Calls, read_answer_spec

OTHER = "invalid_request_error"
FUNCTION = "invalid_function_definition"

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
JSON_OBJECT = {"type": "json_object"}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}
NAMED = {"type": "function", "function": {"name": "f"}}
NO_TOOLS: list[dict[str, Any]] = [{}, {"tools": None}, {"tools": []}]
NO_ARGUMENTS = {"type": "object", "properties": {}, "additionalProperties": False}


def tool(name: str = "f", parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "parameters": PARAMETERS if parameters is None else parameters},
    }


def read(*, prefix: bool = False, **fields: Any) -> AnswerSpec:
    messages = [{"role": "user", "content": "U"}]
    if prefix:
        messages.append({"role": "assistant", "content": "A", "prefix": True})  # type: ignore[dict-item]
    return read_answer_spec(ChatCompletionRequest.model_validate({"messages": messages, **fields}))


NAME_RULE = "must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum length of 64"


@pytest.mark.parametrize(
    ("fields", "kind", "param", "message"),
    [
        *[
            pytest.param(
                {**no_tools, "tool_choice": choice},
                OTHER,
                "tool_choice",
                f"tool_choice is {written}, but there are no tools",
                id=f"{written} of {no_tools}",
            )
            for no_tools in NO_TOOLS
            for choice, written in (("any", "any"), ("required", "required"), (NAMED, "the function 'f'"))
        ],
        pytest.param(
            {"tools": [tool("g"), tool("ff")], "tool_choice": NAMED},
            OTHER,
            "tool_choice",
            "tool_choice names a function that is not among the tools: 'f'",
            id="a function that there is not",
        ),
        *[
            pytest.param(
                {"tools": [tool()], "tool_choice": choice, "response_format": wanted},
                OTHER,
                "tool_choice",
                f"A response_format of JSON and tool_choice {written} exclude each other: use auto or none",
                id=f"{wanted['type']} and {written}",
            )
            for wanted in (JSON_OBJECT, JSON_SCHEMA)
            for choice, written in (("any", "any"), ("required", "required"), (NAMED, "the function 'f'"))
        ],
        *[
            pytest.param(
                {"response_format": {"type": kind, "json_schema": JSON_SCHEMA["json_schema"]}},
                OTHER,
                "response_format",
                f"A response_format of type {kind} cannot have json_schema",
                id=f"a schema in {kind}",
            )
            for kind in ("text", "json_object")
        ],
        pytest.param(
            {"response_format": {"json_schema": JSON_SCHEMA["json_schema"]}},
            OTHER,
            "response_format",
            "A response_format of type text cannot have json_schema",
            id="a schema in no type",
        ),
        *[
            pytest.param(
                {"response_format": wanted},
                OTHER,
                "response_format",
                "A response_format of type json_schema needs json_schema",
                id=f"no schema {len(wanted)}",
            )
            for wanted in ({"type": "json_schema"}, {"type": "json_schema", "json_schema": None})
        ],
        pytest.param(
            {"prompt_mode": "reasoning", "reasoning_effort": "none"},
            OTHER,
            "reasoning_effort",
            "prompt_mode reasoning and reasoning_effort none exclude each other",
            id="reasoning without effort",
        ),
        *[
            pytest.param(
                {"prefix": True, "response_format": wanted, **more},
                OTHER,
                "messages",
                "A prefix of the answer and a response_format of JSON exclude each other",
                id=f"prefix and {wanted['type']} {len(more)}",
            )
            for wanted in (JSON_OBJECT, JSON_SCHEMA)
            for more in ({}, {"tools": [tool()]})
        ],
        *[
            pytest.param(
                {"prefix": True, "tools": [tool()], "tool_choice": choice},
                OTHER,
                "messages",
                "A prefix of the answer and a tool_choice that demands a call exclude each other",
                id=f"prefix and {choice}",
            )
            for choice in ("any", "required", NAMED)
        ],
        *[
            pytest.param(
                {"prefix": True, **fields},
                OTHER,
                "messages",
                "A prefix of the answer and reasoning exclude each other",
                id=f"prefix and {fields}",
            )
            for fields in ({"prompt_mode": "reasoning"}, {"reasoning_effort": "high"})
        ],
        *[
            pytest.param(
                {"tools": [tool("fine"), tool(name)]},
                FUNCTION,
                "tools[1].function.name",
                f"Function name was {name!r} but {NAME_RULE}",
                id=f"the name {name[:20]!r}",
            )
            for name in ("", "a b", "é", "a.b", "f\n", "a/b", '"', "<|im_end|>", "f" * 65)
        ],
        pytest.param(
            {"tools": [tool("f"), tool("g"), tool("f")]},
            FUNCTION,
            "tools[2].function.name",
            "There are two functions with the name 'f'",
            id="twice the same name",
        ),
        *[
            pytest.param(
                {"tools": [tool(parameters={"type": kind})]},
                FUNCTION,
                "tools[0].function.parameters",
                "The parameters of 'f' must be a schema of type object",
                id=f"parameters of type {kind}",
            )
            for kind in ("string", "array", ["object", "null"], None, 1)
        ],
        *[
            pytest.param(
                {"tools": [tool("a b")], "tool_choice": choice},
                FUNCTION,
                "tools[0].function.name",
                f"Function name was 'a b' but {NAME_RULE}",
                id=f"a bad name with {choice}",
            )
            for choice in ("none", "any", NAMED)
        ],
    ],
)
def test_contradiction_is_named(fields: dict[str, Any], kind: str, param: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        read(**fields)
    assert (str(refused.value), refused.value.kind, refused.value.param) == (message, kind, param)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, FREE),
        ({"tools": []}, FREE),
        ({"tools": None, "tool_choice": "none"}, FREE),
        ({"tools": [], "tool_choice": "auto"}, FREE),
        ({"tool_choice": None, "response_format": None, "parallel_tool_calls": None}, FREE),
        ({"response_format": {"type": "text"}}, FREE),
        ({"response_format": {}}, FREE),
        ({"reasoning_effort": "none"}, FREE),
        ({"reasoning_effort": "minimal"}, FREE),
        ({"reasoning_effort": "low"}, AnswerSpec(reasoning=True)),
        ({"reasoning_effort": "medium"}, AnswerSpec(reasoning=True)),
        ({"reasoning_effort": "xhigh"}, AnswerSpec(reasoning=True)),
        ({"reasoning_effort": "max"}, AnswerSpec(reasoning=True)),
        ({"prefix": True}, FREE),
        ({"prefix": True, "response_format": {"type": "text"}, "reasoning_effort": "none"}, FREE),
        ({"tools": [tool()], "tool_choice": "none"}, FREE),
        ({"prefix": True, "tools": [tool()], "tool_choice": "none"}, FREE),
        ({"response_format": JSON_OBJECT}, AnswerSpec(schema={"type": "object"})),
        ({"prompt_mode": "reasoning"}, AnswerSpec(reasoning=True)),
        ({"prompt_mode": "reasoning", "reasoning_effort": "high"}, AnswerSpec(reasoning=True)),
        ({"reasoning_effort": "high"}, AnswerSpec(reasoning=True)),
        (
            {"reasoning_effort": "high", "response_format": JSON_OBJECT},
            AnswerSpec(schema={"type": "object"}, reasoning=True),
        ),
        ({"parallel_tool_calls": False}, AnswerSpec(parallel=False)),
    ],
)
def test_form_without_tools(fields: dict[str, Any], expected: AnswerSpec) -> None:
    assert read(**fields) == expected


@pytest.mark.parametrize(
    ("fields", "calls", "parallel", "functions"),
    [
        ({}, "auto", True, ["f", "g"]),
        ({"tool_choice": None}, "auto", True, ["f", "g"]),
        ({"tool_choice": "auto"}, "auto", True, ["f", "g"]),
        ({"tool_choice": "any"}, "required", True, ["f", "g"]),
        ({"tool_choice": "required"}, "required", True, ["f", "g"]),
        ({"tool_choice": NAMED}, "required", False, ["f"]),
        ({"parallel_tool_calls": None}, "auto", True, ["f", "g"]),
        ({"parallel_tool_calls": False}, "auto", False, ["f", "g"]),
        ({"tool_choice": "any", "parallel_tool_calls": False}, "required", False, ["f", "g"]),
        ({"tool_choice": NAMED, "parallel_tool_calls": True}, "required", False, ["f"]),
        ({"prefix": True}, "auto", True, ["f", "g"]),
        ({"reasoning_effort": "high", "tool_choice": "any"}, "required", True, ["f", "g"]),
        ({"response_format": JSON_OBJECT}, "auto", True, ["f", "g"]),
        ({"response_format": {"type": "text"}, "tool_choice": "any"}, "required", True, ["f", "g"]),
    ],
)
def test_form_with_tools(fields: dict[str, Any], calls: Calls, parallel: bool, functions: list[str]) -> None:
    spec = read(tools=[tool("f"), tool("g")], **fields)
    assert [each.function.name for each in spec.tools] == ["f", "g"]
    assert (spec.calls, spec.parallel) == (calls, parallel)
    assert [function.name for function in spec.functions] == functions
    assert spec.reasoning == ("reasoning_effort" in fields)
    assert spec.schema == ({"type": "object"} if fields.get("response_format") == JSON_OBJECT else None)


def test_tools_that_may_not_be_called_are_not_shown() -> None:
    spec = read(tools=[tool()], tool_choice="none", response_format=JSON_SCHEMA)
    assert (spec.tools, spec.functions, spec.calls, spec.schema) == ((), (), "none", SCHEMA)


@pytest.mark.parametrize("schema", [SCHEMA, {}, {"type": "array"}, {"type": "string"}])
def test_schema_is_the_one_that_was_given(schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema, "strict": True}}
    spec = read(response_format=wanted)
    assert spec.schema == schema
    assert [(named.where, named.schema) for named in spec.schemas] == [("response_format.json_schema.schema", schema)]


@pytest.mark.parametrize(
    ("fields", "schemas"),
    [
        ({}, []),
        ({"response_format": JSON_OBJECT}, []),
        ({"response_format": JSON_SCHEMA}, ["response_format.json_schema.schema"]),
        ({"tools": [tool("f"), tool("g")]}, ["tools[0].function.parameters", "tools[1].function.parameters"]),
        ({"tools": [tool("g"), tool("f")], "tool_choice": NAMED}, ["tools[1].function.parameters"]),
        ({"tools": [tool()], "tool_choice": "none"}, []),
        ({"tools": [tool()], "response_format": JSON_OBJECT}, ["tools[0].function.parameters"]),
        (
            {"tools": [tool()], "response_format": JSON_SCHEMA},
            ["tools[0].function.parameters", "response_format.json_schema.schema"],
        ),
    ],
)
def test_schemas_have_the_fields_that_they_came_from(fields: dict[str, Any], schemas: list[str]) -> None:
    assert [named.where for named in read(**fields).schemas] == schemas


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, NO_ARGUMENTS),
        (PARAMETERS, PARAMETERS | {"additionalProperties": False}),
        ({"properties": {}}, {"type": "object", "properties": {}}),
        ({"type": "object"}, {"type": "object"}),
        ({"anyOf": [PARAMETERS]}, {"type": "object", "anyOf": [PARAMETERS]}),
    ],
)
def test_arguments_are_always_an_object(parameters: dict[str, Any], expected: dict[str, Any]) -> None:
    assert [named.schema for named in read(tools=[tool(parameters=parameters)]).schemas] == [expected]


@pytest.mark.parametrize("name", ["f", "-", "_", "a-b_C9", "0", "f" * 64])
def test_names_of_functions_that_are_allowed(name: str) -> None:
    assert [function.name for function in read(tools=[tool(name)]).functions] == [name]


def test_many_tools_are_allowed() -> None:
    read_spec = read(tools=[tool(f"f{index}") for index in range(1000)])
    assert len(read_spec.functions) == len(read_spec.schemas) == 1000
