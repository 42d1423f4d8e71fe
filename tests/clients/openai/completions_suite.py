# pyright: basic, reportMissingImports=false
"""Text completions."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.clients.openai.asking import MODEL, assert_adds_up


def continued(client: OpenAI, **fields: Any) -> Any:
    return client.completions.create(**{"model": MODEL, "temperature": 0.0, "max_tokens": 8} | fields)


def test_a_text_is_continued_streamed_or_not(client: OpenAI) -> None:
    prompt = "The capital of France is"
    response = continued(client, prompt=prompt)
    assert response.object == "text_completion"
    (choice,) = response.choices
    assert choice.text.strip()
    assert choice.finish_reason == "length"
    assert_adds_up(response.usage)
    assert continued(client, prompt=prompt, echo=True).choices[0].text == prompt + choice.text
    *chunks, last = continued(client, prompt=prompt, echo=True, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].text for chunk in chunks) == prompt + choice.text
    assert last.usage.completion_tokens == 8


def test_an_answer_has_sixteen_tokens_by_default(client: OpenAI) -> None:
    response = client.completions.create(model=MODEL, prompt="One, two, three,", temperature=0.0)
    assert response.usage.completion_tokens <= 16


def test_several_texts_are_continued_at_once(client: OpenAI) -> None:
    prompts = ["The sea is", "The sky is"]
    alone = [continued(client, prompt=prompt).choices[0].text for prompt in prompts]
    together = continued(client, prompt=prompts, n=2, echo=True)
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in together.choices] == [
        prompt + text for prompt, text in zip(prompts, alone, strict=True) for _ in range(2)
    ]
    assert together.usage.completion_tokens == 32
    chunks = list(continued(client, prompt=prompts, n=2, stream=True))
    for index in range(4):
        pieces = [choice.text for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert "".join(pieces) == alone[index // 2]


def test_log_probabilities_of_a_text_are_told(client: OpenAI) -> None:
    (choice,) = continued(client, prompt="The sea is", logprobs=2, max_tokens=4).choices
    assert "".join(choice.logprobs.tokens) == choice.text
    assert [len(likely) for likely in choice.logprobs.top_logprobs] == [2] * 4
    assert choice.logprobs.text_offset == [
        len("".join(choice.logprobs.tokens[:index])) for index in range(len(choice.logprobs.tokens))
    ]
    chunks = continued(client, prompt="The sea is", logprobs=2, max_tokens=4, stream=True)
    offsets = [chunk.choices[0].logprobs.text_offset for chunk in chunks if chunk.choices[0].logprobs]
    assert [offset for some in offsets for offset in some] == choice.logprobs.text_offset


def test_prompts_are_scored_and_may_be_token_ids(client: OpenAI) -> None:
    (choice,) = continued(client, prompt="The sea is", echo=True, logprobs=1, max_tokens=0).choices
    known = choice.logprobs
    assert "".join(known.tokens) == choice.text == "The sea is"
    assert known.token_logprobs[0] is known.top_logprobs[0] is None
    assert all(token in top for token, top in zip(known.tokens[1:], known.top_logprobs[1:], strict=True))
    (of_ids,) = continued(client, prompt=[65, 66], echo=True).choices
    assert of_ids.text == continued(client, prompt="AB", echo=True).choices[0].text


def test_what_comes_between_two_texts_is_written(client: OpenAI) -> None:
    whole = continued(client, prompt="def area(width, height):\n    return ", suffix=" * height\n")
    assert isinstance(whole.choices[0].text, str)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("prompt", {"prompt": [999_999_999]}),
        ("best_of", {"prompt": "a", "best_of": 3}),
        ("logit_bias", {"prompt": "a", "logit_bias": {"999999999": 1}}),
        ("logprobs", {"prompt": "a", "logprobs": 21}),
    ],
)
def test_texts_that_cannot_be_had_are_refused(client: OpenAI, field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        continued(client, **fields)
    assert caught.value.param == field
