"""Chat templates of the kinds that models have."""

CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# No system role, and another name for the assistant.
NO_SYSTEM = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {{- raise_exception('System role not supported') }}
{%- endif %}
{%- for message in messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif %}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
    {{- '<turn>' + role + '\n' + message['content'] | trim + '</turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<turn>model\n' }}
{%- endif %}"""

# A system text at the head only, then strictly user, assistant, user, ...
ALTERNATING = """{%- set ns = namespace(expected='user') %}
{%- for message in messages %}
    {%- if message.role == 'system' %}
        {%- if not loop.first %}{{ raise_exception('Only the first message can be a system message') }}{% endif %}
        {{- 'SYSTEM: ' ~ message.content ~ '\n' }}
        {%- continue %}
    {%- endif %}
    {%- if message.role != ns.expected %}
        {{- raise_exception('Expected ' ~ ns.expected ~ ' but got ' ~ message.role) }}
    {%- endif %}
    {%- set ns.expected = 'assistant' if ns.expected == 'user' else 'user' %}
    {{- message.role | upper ~ ': ' ~ message.content ~ '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"""

LLAMA = """{{- bos_token }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}"""

# The system text precedes the last user text; tools are supported.
MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[TOOL_CALLS] [" }}
        {%- for call in message.tool_calls %}
            {%- if call.id | length != 9 %}{{ raise_exception("Tool call IDs must be 9 characters long") }}{% endif %}
            {{- '{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson }}
            {{- ', "id": "' + call.id + '"}' }}
            {%- if not loop.last %}{{ ", " }}{% endif %}
        {%- endfor %}
        {{- "]" + eos_token }}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"] | trim + eos_token }}
    {%- elif message["role"] == "tool" %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content | tojson + ', "call_id": "' + message.tool_call_id }}
        {{- '"}[/TOOL_RESULTS]' }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles are supported, and one initial system message!") }}
    {%- endif %}
{%- endfor %}"""

# Tools are supported; an empty line replaces empty content.
TOOLS = """{%- for message in messages %}
{{- '<|im_start|>' + message.role }}
{%- if message.content %}{{ '\n' + message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
    {%- set shown = {'name': call.function.name, 'arguments': call.function.arguments} %}
    {{- '\n<tool_call>\n' + shown | tojson(ensure_ascii=True) }}
    {{- '\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""

# Texts are adjacent to each other and to brackets, and objects are printed: forgeries would work here.
TIGHT = """{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\n<' + message.content + '>' }}
{%- for call in message.tool_calls or [] %}
    {{- '<' + call.function.name + '>' + call.id + (call.function.arguments | string) }}
    {{- call.function.arguments | tojson }}
    {{- call }}
{%- endfor %}
{%- if message.role == 'tool' %}{{ '<' + message.tool_call_id + '>' + message.name + '<' }}{% endif %}
{{- '<|im_end|>' }}
{%- endfor %}"""

GLUE = "{% for message in messages %}{{ message.content | trim }}{% endfor %}"

# Tools in the system text, calls between tags, results between tags in a user turn: Hermes and Qwen 2.5.
TAGS = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}{{ messages[0].content + '\\n\\n' }}{% endif %}
    {{- 'These functions can be called:\\n<tools>' }}
    {%- for tool in tools %}{{ '\\n' }}{{ tool | tojson }}{% endfor %}
    {{- '\\n</tools>\\nWrite calls like this:\\n<tool_call>\\n{"name": <name>, "arguments": <object>}\\n</tool_call>' }}
    {{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant' }}
        {%- if message.content %}{{ '\\n' + message.content }}{% endif %}
        {%- for call in message.tool_calls or [] %}
            {%- if call.function is defined %}{% set call = call.function %}{% endif %}
            {{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or messages[loop.index0 - 1].role != 'tool' %}{{ '<|im_start|>user' }}{% endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' %}{{ '<|im_end|>\\n' }}{% endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# The same with optional thinking: Qwen 3. Only thinking since the last question is shown.
TAGS_AND_THINKING = (
    TAGS.replace(
        "{%- for message in messages %}",
        """{%- set ns = namespace(asked=0) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set ns.asked = loop.index0 %}{% endif %}{% endfor %}
{%- for message in messages %}""",
    )
    .replace(
        "{{- '<|im_start|>assistant' }}",
        """{{- '<|im_start|>assistant' }}
        {%- if message.reasoning_content and loop.index0 > ns.asked %}
            {{- '\\n<think>\\n' + message.reasoning_content + '\\n</think>\\n' }}
        {%- endif %}""",
    )
    .replace(
        "{{ '<|im_start|>assistant\\n' }}",
        """{{ '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}""",
    )
)

# Tools in the first user turn, calls as bare JSON, one per message: Llama 3.1.
PARAMETERS = """{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {%- set system_message = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + system_message + '<|eot_id|>' }}
{%- if tools is not none %}
    {%- if messages | length == 0 %}{{ raise_exception('There is no user turn for the tools') }}{% endif %}
    {%- set first = messages[0].content | trim %}
    {%- set messages = messages[1:] %}
    {{- '<|start_header_id|>user<|end_header_id|>\\n\\nAnswer with a call of one of these as JSON:\\n\\n' }}
    {%- for tool in tools %}{{ tool | tojson(indent=4) }}{{ '\\n\\n' }}{% endfor %}
    {{- first + '<|eot_id|>' }}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}{{ raise_exception('There can be one call at a time') }}{% endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- '}<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""


def _mistral(available_tools: str, call: str, between: str = "", begin: str = "", end: str = "") -> str:
    """Tools before the last user text, strict turns except for calls and results: Mistral from version 3 on."""
    return (
        """{%- if messages[0].role == 'system' %}
    {%- set system_message = messages[0].content %}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- set user_messages = messages | selectattr('role', 'equalto', 'user') | list %}
{%- set ns = namespace(index=0) %}
{%- for message in messages | rejectattr('role', 'equalto', 'tool') | selectattr('tool_calls', 'undefined') %}
    {%- if (message.role == 'user') != (ns.index % 2 == 0) %}
        {{- raise_exception('Roles must alternate, but for calls and results of tools') }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- if tools is not none and message == user_messages[-1] %}
            {{- '"""
        + available_tools
        + """' }}
            {%- for tool in tools %}{{ tool | tojson }}{{ ', ' if not loop.last }}{% endfor %}
            {{- '][/AVAILABLE_TOOLS]' }}
        {%- endif %}
        {{- '[INST] ' }}
        {%- if loop.last and system_message is defined %}{{ system_message + '\\n\\n' }}{% endif %}
        {{- message.content + '[/INST]' }}
    {%- elif message.tool_calls is defined %}
        {{- '"""
        + begin
        + """' }}
        {%- for call in message.tool_calls %}
            {%- if call.id | length != 9 %}{{ raise_exception('Ids of calls have 9 characters') }}{% endif %}
            {{- """
        + call
        + """ }}
            {%- if not loop.last %}{{ '"""
        + between
        + """' }}{% endif %}
        {%- endfor %}
        {{- '"""
        + end
        + """' + eos_token }}
    {%- elif message.role == 'assistant' %}
        {{- ' ' + message.content + eos_token }}
    {%- elif message.role == 'tool' %}
        {{- '[TOOL_RESULTS] {"content": ' + message.content | tojson + ', "call_id": "' + message.tool_call_id + '"}' }}
        {{- '[/TOOL_RESULTS]' }}
    {%- endif %}
{%- endfor %}"""
    )


# A list of calls with their ids, with and without SentencePiece's space before a word.
LIST = _mistral(
    "[AVAILABLE_TOOLS] [",
    "(call.function | tojson)[:-1] + ', \"id\": \"' + call.id + '\"}'",
    ", ",
    "[TOOL_CALLS] [",
    "]",
)
TIGHT_LIST = LIST.replace("[TOOL_CALLS] [", "[TOOL_CALLS][")

# A control token before each part of a call (from version 11 on), and without ids (version 13).
ARGUMENTS_AND_IDS = _mistral(
    "[AVAILABLE_TOOLS][",
    "'[TOOL_CALLS]' + call.function.name + '[CALL_ID]' + call.id + '[ARGS]' + call.function.arguments | tojson",
)
ARGUMENTS = ARGUMENTS_AND_IDS.replace("'[CALL_ID]' + call.id + ", "")
ARGUMENTS_AND_THINKING = ARGUMENTS.replace(
    "{{- ' ' + message.content + eos_token }}",
    """{%- if message.reasoning_content %}{{ '[THINK]' + message.reasoning_content + '[/THINK]' }}{% endif %}
        {{- message.content + eos_token }}""",
)

# The prompt ends with the beginning of the thinking, earlier thinking is removed from texts, calls are fenced:
# DeepSeek R1.
THINKS_ALWAYS = """{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'system' %}{{ message.content }}{% endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{ '<|User|>' + message.content }}{% endif %}
    {%- if message.role == 'assistant' and message.content is none %}
        {%- for call in message.tool_calls %}
            {{- '<|Call|>' + call.function.name + '\\n```json\\n' + call.function.arguments | tojson + '\\n```' }}
        {%- endfor %}
        {{- eos_token }}
    {%- elif message.role == 'assistant' %}
        {{- '<|Assistant|>' + message.content.split('</think>')[-1] + eos_token }}
    {%- elif message.role == 'tool' %}
        {{- '<|Result|>' + message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|Assistant|><think>\\n' }}{% endif %}"""

# Tools are shown and calls written as XML: Qwen 3 Coder.
XML = (
    TAGS.replace("{{ tool | tojson }}", "{{ '<function>' + tool.function.name + '</function>' }}")
    .replace('{"name": <name>, "arguments": <object>}', "<function=name>\\n<parameter=key>\\nvalue\\n</parameter>")
    .replace(
        """{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}""",
        """<function=' + call.name + '>\\n' }}
            {%- for key, value in call.arguments | items %}
                {{- '<parameter=' + key + '>\\n' + value | string + '\\n</parameter>\\n' }}
            {%- endfor %}
            {{- '</function>""",
    )
)

# Calls and results are written with tags, but tools are not shown.
TAGS_WITHOUT_TOOLS = TAGS.replace("{%- if tools %}", "{%- if false %}")

# The arguments come first.
TURNED = TAGS.replace(
    """{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments | tojson }}
            {{- '}""",
    """{"arguments": ' }}
            {{- call.arguments | tojson }}
            {{- ', "name": "' + call.name + '"}""",
)
