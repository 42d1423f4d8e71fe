"""Search and download of weights, with a local hub."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ponant.weights.attempts import SilentWatcher
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.locate import locate
from ponant.weights.prepare import FileFacts, Record
from ponant.weights.removal import OutsideError, plan_removal
from ponant.weights.store import hub_name, stored_models, unfinished
from tests.serving import environment, wait_until
from tests.weights.hub_server import COMMIT, Hub, breaking_off, damaged

Q4, Q8, HALF = (f"model.{name}.gguf" for name in ("Q4_K_M", "Q8_0", "F16"))


def weights(size: int = 50_000) -> bytes:
    return os.urandom(size)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Folder of models, not created yet."""
    return tmp_path / "data" / "models"


def kept(models: Path) -> list[str]:
    """Return the files in the folder of models."""
    files = (path for path in models.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(path.relative_to(models).as_posix() for path in files)


# Choice of weights


@pytest.mark.parametrize(
    ("files", "wanted", "chosen"),
    [
        ([HALF, Q4, Q8], "", Q4),
        ([HALF, Q8], "", Q8),
        (["model.BF16.gguf", HALF], "", HALF),
        (["b.IQ3_XXS.gguf", "a.IQ2_M.gguf"], "", "a.IQ2_M.gguf"),
        ([HALF, Q4, Q8], ":Q8_0", Q8),
        ([HALF, Q4, Q8], ":q8_0", Q8),
        ([HALF, Q4, Q8], f":{HALF}", HALF),
        (["model-q4_0.gguf", "model-q4_k_m.gguf"], ":Q4_0", "model-q4_0.gguf"),
        (["UD-Q2_K_XL/m-UD-Q2_K_XL.gguf", "m-Q2_K.gguf"], ":UD-Q2_K_XL", "UD-Q2_K_XL/m-UD-Q2_K_XL.gguf"),
        (["UD-Q2_K_XL/m-UD-Q2_K_XL.gguf", "m-Q2_K.gguf"], ":m-UD-Q2_K_XL.gguf", "UD-Q2_K_XL/m-UD-Q2_K_XL.gguf"),
        (["mmproj-model-F16.gguf", "imatrix.gguf", "model.gguf"], "", "model.gguf"),
        (["Qwen2.5-0.5B-Instruct.gguf"], "", "Qwen2.5-0.5B-Instruct.gguf"),
        (["Mistral-7B-v0.3.fp16.gguf", "Mistral-7B-v0.3.IQ4_XS.gguf"], ":iq4_xs", "Mistral-7B-v0.3.IQ4_XS.gguf"),
    ],
)
def test_weights_are_chosen_by_file_or_quantization(
    hub: Hub, models: Path, files: list[str], wanted: str, chosen: str
) -> None:
    hub.repositories["org/repo"] = {file: weights(100) for file in files}
    path = locate(f"hf:org/repo{wanted}", models)
    assert path == models / "hf" / "org" / "repo" / chosen
    assert path.read_bytes() == hub.repositories["org/repo"][chosen]
    assert kept(models) == [f"hf/org/repo/{chosen}"]


@pytest.mark.parametrize(
    ("files", "wanted", "said"),
    [
        ([Q4, Q8], ":Q3_K_M", "org/repo at http://127.0.0.1:{port} has no Q3_K_M, but Q4_K_M, Q8_0"),
        ([Q4, Q8], ":other.gguf", "has no other.gguf, but Q4_K_M, Q8_0"),
        (["README.md", "mmproj-F16.gguf"], "", "has no .gguf file with weights"),
        (["README.md"], ":Q4_0", "has no .gguf file with weights"),
        (["a.Q8_0.gguf", "b.Q8_0.gguf"], ":Q8_0", "has several files for Q8_0: a.Q8_0.gguf, b.Q8_0.gguf"),
        (["m-Q8_0-00001-of-00002.gguf", Q4], ":Q8_0", "has no Q8_0, but Q4_K_M"),
    ],
)
def test_what_there_is_is_told_when_nothing_fits(
    hub: Hub, models: Path, files: list[str], wanted: str, said: str
) -> None:
    hub.repositories["org/repo"] = {file: weights(100) for file in files}
    with pytest.raises(ModelNotFoundError) as raised:
        locate(f"hf:org/repo{wanted}", models)
    assert said.format(port=hub.url.rpartition(":")[2]) in str(raised.value)
    assert kept(models) == []


def test_split_weights_are_fetched_whole_and_opened_by_the_first_part(hub: Hub, models: Path) -> None:
    parts = {f"Q8_0/m-Q8_0-0000{number}-of-00003.gguf": weights(1000) for number in (1, 2, 3)}
    hub.repositories["org/repo"] = {**parts, "README.md": b"text"}
    path = locate("hf:org/repo:Q8_0", models)
    assert path.name == "m-Q8_0-00001-of-00003.gguf"
    assert [file.removeprefix("hf/org/repo/") for file in kept(models)] == list(parts)
    (path.parent / "m-Q8_0-00002-of-00003.gguf").unlink()
    assert stored_models(models) == []  # incomplete
    hub.requests.clear()
    locate("hf:org/repo:Q8_0", models)
    assert len(hub.fetched()) == 1  # only the missing file


def test_parts_of_two_versions_are_not_mixed(hub: Hub, models: Path) -> None:
    names = [f"m-0000{number}-of-00002.gguf" for number in (1, 2)]
    hub.repositories["org/repo"] = {name: weights() for name in names}
    hub.behaviours = [breaking_off(50_000), damaged]
    with pytest.raises(ModelNotFoundError):
        locate("hf:org/repo", models)
    assert kept(models) == [f"hf/org/repo/{names[0]}"]
    hub.repositories["org/repo"] = {name: weights() for name in names}
    path = locate("hf:org/repo", models)
    assert [(path.parent / name).read_bytes() for name in names] == list(hub.repositories["org/repo"].values())


def test_tokenizer_files_come_beside_the_weights(hub: Hub, models: Path) -> None:
    repository = {
        "Q8_0/model-Q8_0.gguf": weights(100),
        "tekken.json": b'{"version": "v7"}',
        "tokenizer.model.v3": b"sentencepiece",
        "tokenizer.json": b"{}",
        "other/tekken.json": b"{}",
    }
    hub.repositories["org/repo"] = repository
    folder = locate("hf:org/repo", models).parent
    assert sorted(path.name for path in folder.iterdir()) == ["model-Q8_0.gguf", "tekken.json", "tokenizer.model.v3"]
    assert (folder / "tekken.json").read_bytes() == repository["tekken.json"]


# Local models need no network


def test_what_is_here_is_found_without_the_network(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q4: weights(100), Q8: weights(100)}
    first = locate("hf:org/repo:Q8_0", models)
    hub.requests.clear()
    assert locate("hf:org/repo:Q8_0", models) == locate(f"hf:org/repo:{Q8}", models) == first
    assert locate("hf:org/repo", models) == first  # the existing file is preferred
    assert hub.requests == []
    assert locate("hf:org/repo:Q4_K_M", models).name == Q4
    assert locate("hf:org/repo", models).name == Q4


def test_what_huggingface_hub_has_fetched_is_found(hub: Hub, models: Path) -> None:
    file = in_old_layout(models, Q8)
    assert locate("hf:org/repo", models) == locate("hf:org/repo:Q8_0", models) == file
    assert [model.repository for model in stored_models(models)] == ["org/repo"]
    assert hub.requests == []


def in_old_layout(models: Path, name: str) -> Path:
    """Create weights in the layout of huggingface_hub: a link to a file named by its checksum."""
    folder = models / "models--org--repo"
    blob, file = folder / "blobs" / "0123", folder / "snapshots" / COMMIT / name
    for path in (blob, file):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(weights(100))
    file.symlink_to(Path("../../blobs/0123"))
    return file


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot reach 127.0.0.1"),
        ({"HF_ENDPOINT": "nowhere"}, "is not an HTTP URL"),
        ({"HF_ENDPOINT": "http://[::"}, "not a valid URL"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE"),
    ],
)
def test_offline_what_is_missing_is_told_with_what_fetches_it(
    hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ModelNotFoundError) as raised:
        locate("hf:org/repo:Q8_0", models)
    message = str(raised.value)
    assert message.startswith("hf:org/repo:Q8_0 is not on this machine and cannot be downloaded: ")
    assert said in message
    assert "ponant pull hf:org/repo:Q8_0" in message
    assert hub.requests == []


# Answers of the hub


def test_private_repositories_need_the_token_which_goes_to_the_hub_alone(
    hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["org/repo"] = {Q8: weights(100)}
    hub.token = "secret"
    with pytest.raises(ModelNotFoundError, match=r"private: .*HF_TOKEN"):
        locate("hf:org/repo", models)
    monkeypatch.setenv("HF_TOKEN", "wrong")
    with pytest.raises(ModelNotFoundError, match="does not accept the token"):
        locate("hf:org/repo", models)
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert locate("hf:org/repo", models).is_file()
    assert ["authorization" in request.headers for request in hub.fetched()] == [False]


def test_gated_repositories_are_listed_but_need_the_token(
    hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories["org/repo"] = {Q8: weights(100)}
    hub.token, hub.gated = "secret", True
    with pytest.raises(ModelNotFoundError, match=r"is gated: request access .*HF_TOKEN"):
        locate("hf:org/repo", models)
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert locate("hf:org/repo", models).is_file()


def test_token_of_the_hubs_own_tools_is_used(hub: Hub, models: Path, tmp_path: Path) -> None:
    hub.repositories["org/repo"] = {Q8: weights(100)}
    hub.token = "secret"
    (tmp_path / "nobody").mkdir()
    (tmp_path / "nobody" / "token").write_text("secret\n")
    assert locate("hf:org/repo", models).is_file()


@pytest.mark.parametrize(
    ("listings", "said"),
    [
        ([403], "is gated: request access"),
        ([404], "has no repository org/repo, or it is private"),
        ([410], "answers 410"),
    ],
)
def test_refusals_of_the_hub_are_told(hub: Hub, models: Path, listings: list[int], said: str) -> None:
    hub.listings = listings
    with pytest.raises(ModelNotFoundError, match=said):
        locate("hf:org/repo", models)


@pytest.mark.parametrize("nonsense", [b"<html>", b"[]", b"{}", b'{"sha": 1, "siblings": []}', b"\xff"])
def test_server_that_is_no_hub_is_told(hub: Hub, models: Path, nonsense: bytes) -> None:
    hub.repositories["org/repo"] = {}
    hub.nonsense = nonsense
    with pytest.raises(ModelNotFoundError, match="does not respond like a hub"):
        locate("hf:org/repo", models)


def test_server_that_sends_without_end_is_not_listened_to_for_ever(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {}
    hub.nonsense = b" " * 33 * 2**20
    with pytest.raises(ModelNotFoundError, match="sends a response of more than 32 MB"):
        locate("hf:org/repo", models)


def test_list_that_cannot_be_unpacked_is_told(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {}
    hub.encoding = "gzip"
    with pytest.raises(ModelNotFoundError, match="sends a response that cannot be decoded"):
        locate("hf:org/repo", models)


def test_hub_that_is_busy_for_a_moment_is_asked_again(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q8: weights(100)}
    hub.listings = [503]
    assert locate("hf:org/repo", models).is_file()


def test_list_with_a_wrong_size_or_checksum_gives_no_model(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q8: weights(1000)}
    for size in (999, 1001):
        hub.sizes = {Q8: size}
        with pytest.raises(ModelNotFoundError, match=f"sends 1000 bytes, but the hub lists {size}"):
            locate("hf:org/repo", models)
    hub.sizes = {}
    hub.behaviours = [damaged]
    with pytest.raises(ModelNotFoundError, match="does not have the hub's checksum"):
        locate("hf:org/repo", models)
    assert kept(models) == []


def test_list_of_more_than_the_disk_holds_is_refused_beforehand(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q8: weights(1000)}
    hub.sizes = {Q8: 10**18}
    with pytest.raises(ModelNotFoundError, match="not enough disk space"):
        locate("hf:org/repo", models)
    assert hub.fetched() == []


def test_names_that_lead_elsewhere_are_not_taken(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {name: weights(10) for name in ("../../evil.gguf", "/evil.gguf", "a/../../b.gguf")}
    with pytest.raises(ModelNotFoundError, match=r"no \.gguf file"):
        locate("hf:org/repo", models)
    for source in ("hf:../..", "hf:org", "hf:org/repo/file", "hf:/repo", "hf:.org/repo", "hf:"):
        with pytest.raises(ModelNotFoundError, match="is named hf:org/repo"):
            locate(source, models)


# Several processes, and killed ones

PULL = """
import sys
from pathlib import Path
from ponant.weights.locate import locate
print(locate("hf:org/repo", Path(sys.argv[1])))
"""


def pulling(models: Path) -> subprocess.Popen[str]:
    """Start a process that downloads."""
    return subprocess.Popen(
        [sys.executable, "-c", PULL, str(models)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(HF_HUB_DOWNLOAD_TIMEOUT="30"),
    )


def test_killed_download_leaves_no_model_and_is_gone_on_with(hub: Hub, models: Path) -> None:
    content = hub.repositories.setdefault("org/repo", {Q8: weights()})[Q8]
    hub.behaviours = [hub.hanging_after(20_000)]
    with pulling(models) as process:
        assert hub.hanging.wait(60)
        wait_until(lambda: unfinished(models) == {"org/repo": 20_000})
        process.send_signal(signal.SIGKILL)
    assert stored_models(models) == []
    (part,) = kept(models)
    assert part.endswith(".part")
    assert locate("hf:org/repo", models).read_bytes() == content
    assert hub.ranges() == [None, "bytes=20000-"]
    assert kept(models) == [f"hf/org/repo/{Q8}"]


def test_two_processes_fetch_a_model_once(hub: Hub, models: Path) -> None:
    content = hub.repositories.setdefault("org/repo", {Q8: weights()})[Q8]
    hub.behaviours = [hub.hanging_after(20_000)]
    with pulling(models) as first:
        assert hub.hanging.wait(60)
        with pulling(models) as second:
            wait_until(lambda: waits_for_lock(second.pid))
            first.kill()
            hub.released.set()
            said, errors = second.communicate(timeout=60)
    path = Path(said.strip())
    assert path.read_bytes() == content, errors
    assert hub.ranges() == [None, "bytes=20000-"]  # the second process continued the first one's download


def waits_for_lock(process: int) -> bool:
    """True if a process waits for a file lock."""
    return any(f" {process} " in line for line in Path("/proc/locks").read_text().splitlines() if "->" in line)


# Removal


def test_one_of_several_weights_is_removed_then_all_with_what_came_with_them(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q4: weights(100), Q8: weights(200), "tekken.json": b"{}"}
    hub.repositories["org/other"] = {Q4: weights(100)}
    for source in ("hf:org/repo:Q4_K_M", "hf:org/repo:Q8_0", "hf:org/other"):
        locate(source, models)
    prepared = models.parent / "prepared"
    removal = plan_removal(hub_name("hf:org/repo:Q8_0"), models, prepared)
    assert removal.carry_out(models, SilentWatcher()) == 200
    assert kept(models) == [f"hf/org/other/{Q4}", f"hf/org/repo/{Q4}", "hf/org/repo/tekken.json"]
    removal = plan_removal(hub_name("org/repo"), models, prepared)
    assert removal.carry_out(models, SilentWatcher()) == 102
    assert kept(models) == [f"hf/org/other/{Q4}"]
    assert not (models / "hf" / "org" / "repo").exists()
    plan_removal(hub_name("org/other"), models, prepared).carry_out(models, SilentWatcher())
    assert not (models / "hf" / "org").exists()


def test_copies_made_of_the_weights_are_removed_too(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q4: weights(100)}
    path = locate("hf:org/repo", models)
    prepared = models.parent / "prepared"
    prepared.mkdir()
    facts = FileFacts(100, 0, hashlib.sha256(path.read_bytes()).hexdigest())
    for number, made_from in enumerate((path, Path("/elsewhere") / path.name)):
        (prepared / f"{path.stem}-{number}.json").write_bytes(msgspec.json.encode(Record(str(made_from), facts)))
        (prepared / f"{path.stem}-{number}.Q8_0.gguf").write_bytes(weights(50))
    plan_removal(hub_name("org/repo"), models, prepared).carry_out(models, SilentWatcher())
    assert sorted(file.name for file in prepared.iterdir()) == [f"{path.stem}-1.Q8_0.gguf", f"{path.stem}-1.json"]


def test_what_huggingface_hub_has_fetched_is_removed_with_what_its_links_lead_to(models: Path) -> None:
    in_old_layout(models, Q8)
    outside = models.parent / "mine.gguf"
    outside.write_bytes(weights(10))
    (models / "models--org--repo" / "snapshots" / COMMIT / Q4).symlink_to(outside)
    removal = plan_removal(hub_name("hf:org/repo:Q4_K_M"), models, models.parent / "prepared")
    assert removal.carry_out(models, SilentWatcher()) == 0
    assert outside.is_file()
    removal = plan_removal(hub_name("hf:org/repo:Q8_0"), models, models.parent / "prepared")
    assert removal.carry_out(models, SilentWatcher()) == 100
    assert kept(models) == []


def test_files_elsewhere_are_never_removed(models: Path) -> None:
    elsewhere = models.parent / "elsewhere"
    elsewhere.mkdir(parents=True)
    (elsewhere / Q8).write_bytes(weights(10))
    (models / "hf" / "org").mkdir(parents=True)
    (models / "hf" / "org" / "repo").symlink_to(elsewhere)
    with pytest.raises(OutsideError, match="elsewhere"):
        plan_removal(hub_name("org/repo"), models, models.parent / "prepared").carry_out(models, SilentWatcher())
    assert (elsewhere / Q8).is_file()


def test_unfinished_downloads_are_removed(hub: Hub, models: Path) -> None:
    hub.repositories["org/repo"] = {Q8: weights(1000)}
    hub.behaviours = [breaking_off(400), lambda answer: answer.head(404, 0)]
    with pytest.raises(ModelNotFoundError):
        locate("hf:org/repo", models)
    assert unfinished(models) == {"org/repo": 400}
    removal = plan_removal(hub_name("org/repo"), models, models.parent / "prepared")
    assert removal.carry_out(models, SilentWatcher()) == 400
    assert kept(models) == []


def test_removing_what_is_not_there_is_told(models: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="hf:org/repo is not in"):
        plan_removal(hub_name("org/repo"), models, models.parent / "prepared")
