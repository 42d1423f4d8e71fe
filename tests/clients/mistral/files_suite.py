# pyright: basic, reportMissingImports=false
"""Files."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.clients.mistral.asking import QUESTION, Mistral, SDKError, assert_is_error


def test_a_file_is_kept_and_given_back(mistral: Mistral, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"messages": QUESTION}) + "\n")
    with path.open("rb") as content:
        uploaded = mistral.files.upload(file={"file_name": path.name, "content": content}, purpose="fine-tune")
    assert (uploaded.filename, uploaded.purpose, uploaded.num_lines) == ("train.jsonl", "fine-tune", 1)
    assert uploaded.size_bytes == path.stat().st_size
    assert uploaded.id in [file.id for file in mistral.files.list(purpose="fine-tune", search="train").data]
    assert mistral.files.retrieve(file_id=uploaded.id).sample_type == "instruct"
    assert mistral.files.download(file_id=uploaded.id).read() == path.read_bytes()
    url = mistral.files.get_signed_url(file_id=uploaded.id, expiry=1).url
    with urllib.request.urlopen(url) as response:
        assert response.read() == path.read_bytes()
    assert mistral.files.delete(file_id=uploaded.id).deleted
    with pytest.raises(SDKError) as caught:
        mistral.files.retrieve(file_id=uploaded.id)
    assert caught.value.status_code == 404


def test_a_file_that_is_no_dataset_is_refused(mistral: Mistral) -> None:
    with pytest.raises(SDKError) as caught:
        mistral.files.upload(file={"file_name": "a.jsonl", "content": b"no JSON"}, purpose="fine-tune")
    assert_is_error(caught.value, 400)
