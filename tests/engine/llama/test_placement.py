"""Placement of layers on made-up machines."""

import pytest

from ponant.engine.llama import device_plan
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.device_plan import ChosenDevice, choose_devices, plan_devices
from ponant.engine.llama.placement import HOST, DeviceMemory, DeviceSettings, place
from ponant.errors import ModelLoadError
from ponant.llamacpp.devices import Device, DeviceKind
from ponant.llamacpp.layer_sizes import LayerSizes
from ponant.llamacpp.memory import ModelSize

MB = 2**20
GB = 2**30
DENSE = LayerSizes(layers=[100 * MB] * 36, experts=[0] * 36, output=300 * MB, input=300 * MB)
MIXTURE = LayerSizes(layers=[1000 * MB] * 32, experts=[900 * MB] * 32, output=300 * MB, input=300 * MB)
KV_OF_LAYER = 50 * MB
SPARE = 128 * MB


def gpu(name: str, free: int, *, pool: str = "", overhead: int = 0) -> DeviceMemory:
    return DeviceMemory(name, free, pool or name, overhead)


def test_all_layers_fit_on_a_large_gpu() -> None:
    placement = place(DENSE, [gpu("CUDA0", 24 * GB)], DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER)
    assert placement.is_complete
    assert placement.counts == {"CUDA0": 37}
    assert placement.device_bytes == {"CUDA0": 36 * 150 * MB + 300 * MB}
    assert placement.host_bytes == DENSE.input


def test_last_layers_go_to_a_gpu_that_is_too_small() -> None:
    free = SPARE + 200 * MB + 300 * MB + 10 * 150 * MB + 20 * MB
    placement = place(DENSE, [gpu("CUDA0", free, overhead=200 * MB)], DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER)
    assert placement.counts == {"CUDA0": 11}
    assert placement.host_bytes == 26 * 150 * MB + DENSE.input
    assert sum(placement.device_bytes.values()) <= free


def test_nothing_goes_to_a_gpu_without_room() -> None:
    placement = place(DENSE, [gpu("CUDA0", 100 * MB)], DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER)
    assert placement.counts == {}
    assert placement.host_bytes == DENSE.total - DENSE.output + DENSE.output + 36 * KV_OF_LAYER


def test_unequal_gpus_are_filled_to_the_same_share() -> None:
    devices = [gpu("CUDA0", 12 * GB), gpu("CUDA1", 4 * GB)]
    placement = place(DENSE, devices, DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER)
    assert placement.is_complete
    shares = [placement.device_bytes[device.name] / device.free for device in devices]
    assert shares[0] == pytest.approx(shares[1], abs=0.07)


def test_devices_of_one_host_share_its_memory() -> None:
    devices = [gpu("RPC0", 4 * GB, pool="10.0.0.2"), gpu("RPC1", 4 * GB, pool="10.0.0.2")]
    alone = place(DENSE, devices[:1], DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER)
    both = place(DENSE, devices, DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER)
    assert sum(both.device_bytes.values()) <= 4 * GB
    assert both.on_devices <= alone.on_devices


def test_experts_stay_on_the_host() -> None:
    devices = [gpu("CUDA0", 16 * GB)]
    assert not place(MIXTURE, devices, DeviceSettings(), kv_bytes_per_layer=KV_OF_LAYER).is_complete
    placement = place(MIXTURE, devices, DeviceSettings(cpu_moe=32), kv_bytes_per_layer=KV_OF_LAYER)
    assert placement.is_complete
    assert placement.device_bytes == {"CUDA0": 32 * 150 * MB + 300 * MB}
    assert placement.host_bytes == 32 * 900 * MB + MIXTURE.input


@pytest.mark.parametrize(
    ("wish", "counts"),
    [
        (DeviceSettings(gpu_layers=0), {}),
        (DeviceSettings(gpu_layers=5), {"CUDA1": 5}),
        (DeviceSettings(gpu_layers=99, tensor_split=[3.0, 1.0]), {"CUDA0": 28, "CUDA1": 9}),
        (DeviceSettings(split_mode="none"), {"CUDA1": 37}),
        (DeviceSettings(split_mode="none", main_device="CUDA0"), {"CUDA0": 37}),
        (DeviceSettings(split_mode="row"), {"CUDA0": 17, "CUDA1": 20}),
    ],
    ids=["none", "a few", "shares", "one device", "the main device", "rows"],
)
def test_wishes_are_met(wish: DeviceSettings, counts: dict[str, int]) -> None:
    devices = [gpu("CUDA0", 10 * GB), gpu("CUDA1", 12 * GB)]
    placement = place(DENSE, devices, wish, kv_bytes_per_layer=KV_OF_LAYER)
    if wish.gpu_layers == 5:
        assert placement.on_devices == 5
    else:
        assert placement.counts == counts


@pytest.mark.parametrize(
    ("wish", "devices", "reason"),
    [
        (DeviceSettings(gpu_layers=37), [gpu("CUDA0", 2 * GB)], r"gpu_layers is 37, .* 5.6 GB .* CUDA0 1.9 GB; about"),
        (DeviceSettings(gpu_layers=1), [], "there is no GPU"),
        (DeviceSettings(gpu_layers=37, tensor_split=[1, 9]), [gpu("A", 9 * GB), gpu("B", 2 * GB)], "gpu_layers is 37"),
        (DeviceSettings(split_mode="none", main_device="CUDA7"), [gpu("CUDA0", GB)], "CUDA7, .* choose one of CUDA0"),
    ],
)
def test_wishes_that_do_not_fit_are_refused_with_the_numbers(
    wish: DeviceSettings, devices: list[DeviceMemory], reason: str
) -> None:
    with pytest.raises(ModelLoadError, match=reason):
        place(DENSE, devices, wish, kv_bytes_per_layer=KV_OF_LAYER)


SIZE = ModelSize(context=32_768, weights=DENSE.total, kv_bytes_per_token=36 * 4096)


def chosen(free: int, kind: DeviceKind = "gpu") -> ChosenDevice:
    return ChosenDevice(Device("CUDA0", "GPU", kind, free, free, "CUDA"), HOST if kind == "integrated" else "CUDA0")


def test_kv_cache_takes_half_of_what_a_gpu_has_left() -> None:
    plan = plan_devices(SIZE, DENSE, EngineConfig("m"), [chosen(24 * GB)], available=32 * GB, compute={"CUDA0": GB})
    assert plan.placement.is_complete
    assert plan.memory.context == SIZE.context
    left = 24 * GB - GB - DENSE.total
    assert plan.memory.cells * SIZE.kv_bytes_per_token == pytest.approx(left / 2, rel=0.05)
    assert plan.offload.devices == ("CUDA0",)
    assert plan.offload.layers == 37


def test_context_shrinks_so_that_all_layers_fit() -> None:
    free = DENSE.total + 2 * GB
    plan = plan_devices(SIZE, DENSE, EngineConfig("m"), [chosen(free)], available=32 * GB, compute={})
    assert plan.placement.is_complete
    assert 4096 < plan.memory.context < SIZE.context


def test_layers_that_do_not_fit_stay_on_the_host() -> None:
    plan = plan_devices(SIZE, DENSE, EngineConfig("m"), [chosen(2 * GB)], available=32 * GB, compute={})
    assert 0 < plan.placement.on_devices < plan.placement.layers


def test_unified_memory_is_counted_once() -> None:
    config = EngineConfig("m", context=2048)
    with pytest.raises(ModelLoadError, match="too little memory"):
        plan_devices(SIZE, DENSE, config, [chosen(3 * GB, "integrated")], available=3 * GB, compute={})


def test_layers_and_cells_fit_on_a_host_with_a_small_gpu() -> None:
    plan = plan_devices(SIZE, DENSE, EngineConfig("m"), [chosen(2 * GB)], available=6 * GB, compute={})
    assert plan.placement.host_bytes <= 6 * GB


def test_memory_of_apple_gpus_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    apple = Device("MTL0", "Apple M4", "gpu", 8 * GB, 8 * GB, "MTL")
    monkeypatch.setattr(device_plan, "devices", lambda: [apple])
    assert choose_devices(None) == [ChosenDevice(apple, HOST)]
