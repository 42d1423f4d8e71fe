"""Sizes that are chosen or refused for the available memory."""

import pytest

from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.memory import MemoryPlan, plan_memory
from ponant.errors import ModelLoadError
from ponant.llamacpp.memory import ModelSize
from ponant.machine import available_memory
from ponant.sizes import megabytes

MB = 2**20
GB = 2**30
MODEL = ModelSize(context=2048, weights=100 * MB, kv_bytes_per_token=20 * 1024)


def config(**options: object) -> EngineConfig:
    return EngineConfig("model.gguf", **{"prefix_cache": False, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "options", "available", "expected"),
    [
        pytest.param(
            MODEL, {}, 16 * GB, MemoryPlan(2048, 26214, 16), id="usual memory is filled, not all that is free"
        ),
        pytest.param(
            MODEL, {"parallel": 4}, 16 * GB, MemoryPlan(2048, 8192, 4), id="no more than the sequences can use"
        ),
        pytest.param(MODEL, {"context": 256}, 16 * GB, MemoryPlan(256, 4096, 16), id="short contexts need less"),
        pytest.param(MODEL, {"context": 2048, "parallel": 1}, 16 * GB, MemoryPlan(2048, 2048, 1), id="one sequence"),
        pytest.param(MODEL, {}, 1 * GB, MemoryPlan(2048, 8550, 16), id="a quarter of what is free"),
        pytest.param(MODEL, {}, 456 * MB, MemoryPlan(1280, 1280, 16), id="contexts are cut to what is free"),
        pytest.param(MODEL, {}, 360 * MB, MemoryPlan(128, 128, 16), id="but not below the smallest"),
        pytest.param(MODEL, {"context": 2048}, 456 * MB, MemoryPlan(2048, 2048, 16), id="unless they were asked for"),
        pytest.param(ModelSize(64, MB, 1024), {}, 16 * GB, MemoryPlan(64, 1024, 16), id="a model of short contexts"),
        pytest.param(
            ModelSize(131072, GB, 128 * 1024),
            {},
            8 * GB,
            MemoryPlan(13824, 13824, 16),
            id="long contexts exceed the usual",
        ),
        pytest.param(MODEL, {"kv_memory": 200 * MB}, 16 * GB, MemoryPlan(2048, 10240, 16), id="memory asked for"),
        pytest.param(MODEL, {"kv_memory": 20 * MB}, 16 * GB, MemoryPlan(1024, 1024, 16), id="contexts fit into it"),
        pytest.param(
            MODEL, {"kv_memory": 20 * MB, "context": 512}, 16 * GB, MemoryPlan(512, 1024, 16), id="memory and context"
        ),
        pytest.param(
            MODEL, {"deterministic": True}, 16 * GB, MemoryPlan(2048, 24576, 12), id="deterministic: whole contexts"
        ),
        pytest.param(
            MODEL,
            {"deterministic": True, "context": 100},
            16 * GB,
            MemoryPlan(100, 1600, 16),
            id="deterministic: as asked",
        ),
        pytest.param(
            MODEL,
            {"deterministic": True, "kv_memory": 50 * MB, "context": 1000},
            16 * GB,
            MemoryPlan(1000, 2000, 2),
            id="deterministic: fewer at once",
        ),
        pytest.param(
            MODEL,
            {"deterministic": True, "kv_memory": 20 * MB},
            16 * GB,
            MemoryPlan(1024, 1024, 1),
            id="deterministic: one at a time",
        ),
    ],
)
def test_what_is_left_open_is_chosen(
    model: ModelSize, options: dict[str, object], available: int, expected: MemoryPlan
) -> None:
    assert plan_memory(model, config(**options), available) == expected


@pytest.mark.parametrize(
    ("options", "available", "kept"),
    [
        pytest.param({}, 16 * GB, 13107, id="half of the KV cache"),
        pytest.param({"kv_memory": 200 * MB}, 16 * GB, 5120, id="half of what was asked for"),
        pytest.param({"kv_memory": 200 * MB}, 600 * MB, 2252, id="no more than is free"),
        pytest.param({"prefix_memory": 0}, 16 * GB, 0, id="nothing"),
        pytest.param({"prefix_memory": 20 * MB}, 16 * GB, 1024, id="as asked"),
        pytest.param({"prefix_cache": False, "prefix_memory": GB}, 16 * GB, 0, id="no prefix cache"),
        pytest.param({"deterministic": True}, 16 * GB, 0, id="deterministic"),
    ],
)
def test_memory_for_what_finished_sequences_have_computed(
    options: dict[str, object], available: int, kept: int
) -> None:
    chosen = plan_memory(MODEL, config(**{"prefix_cache": True, **options}), available)
    assert chosen.kept == kept
    assert MODEL.weights + (chosen.cells + chosen.kept) * MODEL.kv_bytes_per_token < available


@pytest.mark.parametrize("available", range(360 * MB, 2 * GB, 97 * MB))
@pytest.mark.parametrize("deterministic", [False, True])
def test_what_is_chosen_is_within_the_free_memory(available: int, deterministic: bool) -> None:
    chosen = plan_memory(MODEL, config(deterministic=deterministic), available)
    assert 1 <= chosen.context <= chosen.cells
    assert MODEL.weights + chosen.cells * MODEL.kv_bytes_per_token < available
    assert chosen.parallel >= 1
    if deterministic:
        assert chosen.cells == chosen.parallel * chosen.context


@pytest.mark.parametrize(
    ("options", "available", "parts"),
    [
        pytest.param({"context": 4096}, 16 * GB, ["4096", "longer than the model's own, 2048"], id="context"),
        pytest.param({"kv_memory": MB}, 16 * GB, ["1 MB", "51 tokens", "128 needs 2 MB"], id="next to no KV memory"),
        pytest.param(
            {"kv_memory": 20 * MB, "context": 2000},
            16 * GB,
            ["20 MB of KV memory hold 1024 tokens", "2000 needs 39 MB"],
            id="KV memory below the context",
        ),
        pytest.param(
            {"kv_memory": 64 * GB},
            16 * GB,
            ["too little memory", "weights take 100 MB", "64.0 GB", "16.0 GB are free", "--context or --kv-memory"],
            id="more than there is",
        ),
        pytest.param({}, 200 * MB, ["too little memory", "200 MB are free", "smaller model"], id="no room at all"),
        pytest.param({"context": 2048}, 380 * MB, ["too little memory", "2048 tokens"], id="no room for the context"),
        pytest.param({"deterministic": True}, 200 * MB, ["too little memory"], id="no room, deterministic"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_would_help(
    options: dict[str, object], available: int, parts: list[str]
) -> None:
    with pytest.raises(ModelLoadError) as refused:
        plan_memory(MODEL, config(**options), available)
    for part in parts:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("size", "text"),
    [(377 * MB, "377 MB"), (1536 * MB, "1.5 GB"), (0, "0 MB"), (GB - MB, "1023 MB"), (GB, "1.0 GB")],
)
def test_sizes_read_well(size: int, text: str) -> None:
    assert megabytes(size) == text


def test_some_memory_is_available() -> None:
    assert 0 < available_memory() < 2**60
