"""Text in prompts by Mistral's library never becomes a control token."""

from ponant.errors import InvalidRequestError
from ponant.prompts.chat.turns import Turn
from tests.prompts.mistral.models import HOSTILE, ID, USER, WITH_TOOLS, Made, call, everywhere, for_versions


def test_text_never_becomes_a_control_token(model: Made) -> None:
    harmless = model.controls_in(everywhere(model, "harmless"))
    for text in HOSTILE:
        tokens = everywhere(model, text)
        assert model.controls_in(tokens) == harmless, text
        assert model.rendered(tokens).count(text) > harmless[text], text


@for_versions(*WITH_TOOLS)
def test_ids_and_names_never_become_control_tokens(model: Made) -> None:
    def called(tool_id: str, name: str) -> list[int]:
        result = Turn("tool", "T", tool_call_id=tool_id, name=name)
        return model.tokens.encode([USER, Turn("assistant", "", [call(tool_id)]), result])

    harmless = model.controls_in(called(ID, "weather"))
    for text in HOSTILE:
        try:
            tokens = called(text, "weather" if model.number == 2 else text)
        except InvalidRequestError:
            assert model.tokens.has_short_call_ids
        else:
            assert model.controls_in(tokens) == harmless, text
