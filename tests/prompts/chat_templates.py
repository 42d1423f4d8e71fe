"""Chat templates of the kinds that models bring along."""

CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# No system role at all, and the assistant has another name.
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

# A system text at the head alone, then strictly user, assistant, user, ...
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

# The system text stands before the last user text; tools are known.
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

# Knows tools, with an empty line for what has no content.
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

# Texts stand against each other and against brackets, and objects are printed as they are: where forgeries would work.
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
