"""Loading of a model by a worker: the plan of its memory, the weights, and the context."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ponant.engine.llama.config import DeviceUse, EngineConfig, EngineInfo
from ponant.engine.llama.device_plan import ChosenDevice, DevicePlan, choose_devices, plan_devices
from ponant.engine.llama.drafting import MOST_DRAFTED
from ponant.engine.llama.memory import MemoryPlan, plan_memory
from ponant.engine.llama.placement import ON_THIS_MACHINE, Placement
from ponant.errors import ModelLoadError
from ponant.llamacpp.devices import devices
from ponant.llamacpp.handles import parts_of
from ponant.llamacpp.layer_sizes import layer_sizes
from ponant.llamacpp.memory import ModelSize, model_size
from ponant.llamacpp.model import MOST_SLOTS, ContextShape, Model, measure_compute
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.machine import available_memory, default_threads

BATCH_TOKENS = 512
"""Most tokens of a step of the processor."""
BATCH_TOKENS_ON_DEVICES = 2048
"""Most tokens of a step if all layers are on devices, whose kernels need more rows to be efficient."""
_THREADS_BESIDE_DEVICES = 4
"""Default threads if all layers are on devices: few operations are left to the processor."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Slots of the KV cache.

    Attributes:
        parallel: sequences that run at once.
        slots: slots of sequences that run or are kept.
        scratch: further slots, for copies of prefixes and to overwrite free cells.
        shares: sequences reuse prefixes of others.
    """

    parallel: int
    slots: int
    scratch: int
    shares: bool

    @property
    def most_logits(self) -> int:
        """Most rows of logits of a step."""
        return max(self.parallel, 1 + MOST_DRAFTED)


@dataclass(frozen=True, slots=True)
class Opened:
    """A model with a context.

    Attributes:
        model: the model.
        size: its sizes.
        memory: sizes of the engine.
        slots: slots of the KV cache.
        threads: compute threads.
        batch_tokens: most tokens of a step.
        placement: layers by device.
        devices: use of each device.
    """

    model: Model
    size: ModelSize
    memory: MemoryPlan
    slots: Slots
    threads: int
    batch_tokens: int
    placement: Placement
    devices: list[DeviceUse]

    @property
    def info(self) -> EngineInfo:
        """Sizes of the engine."""
        per_token = self.size.kv_bytes_per_token
        kv_memory = self.memory.cells * per_token
        return EngineInfo(
            context=self.memory.context,
            kv_cells=self.memory.cells,
            kv_memory=kv_memory,
            weights_memory=self.size.weights,
            prefix_memory=self.memory.kept * per_token if self.slots.shares else 0,
            parallel=self.slots.parallel,
            threads=self.threads,
            host_memory=self.placement.host_bytes if self.devices else self.size.weights + kv_memory,
            layers=self.placement.layers,
            devices=self.devices,
        )


def open_model(config: EngineConfig) -> Opened:
    """Load a model and open its context. Raises ModelLoadError."""
    chosen = choose_devices(config.devices.names)
    if chosen and config.devices.gpu_layers != 0:
        return _open_on_devices(config, chosen)
    if config.devices.gpu_layers:
        raise ModelLoadError("gpu_layers is set, but there is no device for the layers; see ponant doctor")
    model = Model(Path(config.model_path))
    size = model.size(config.kv_type)
    memory = plan_memory(size, config, available_memory())
    return _opened(config, model=model, size=size, memory=memory)


def _open_on_devices(config: EngineConfig, chosen: Sequence[ChosenDevice]) -> Opened:
    path = Path(config.model_path)
    vocabulary = GGUFVocabulary(path)
    size = model_size(vocabulary.metadata, vocabulary.weights, config.kv_type)
    vocabulary.close()
    sizes, available = layer_sizes(parts_of(path)), available_memory()

    def plan(compute: dict[str, int]) -> DevicePlan:
        return plan_devices(size, sizes, config, chosen, available=available, compute=compute)

    first = plan({})
    shape = _shape(config, first.memory, _slots(config, first.memory, can_share=True), first.placement)
    planned = plan(measure_compute(path, first.offload, shape))
    model = Model(path, planned.offload)
    return _opened(config, model=model, size=size, memory=planned.memory, placement=planned.placement, chosen=chosen)


def _opened(
    config: EngineConfig,
    *,
    model: Model,
    size: ModelSize,
    memory: MemoryPlan,
    placement: Placement = ON_THIS_MACHINE,
    chosen: Sequence[ChosenDevice] = (),
) -> Opened:
    slots = _slots(config, memory, can_share=model.can_share_cells)
    shape = _shape(config, memory, slots, placement)
    model.open_context(shape)
    return Opened(model, size, memory, slots, shape.threads, shape.batch_tokens, placement, _uses(chosen, placement))


def _slots(config: EngineConfig, memory: MemoryPlan, *, can_share: bool) -> Slots:
    scratch = 2 if can_share and not config.deterministic else 0
    shares = config.prefix_cache and not config.deterministic and can_share
    parallel = min(memory.parallel, MOST_SLOTS - scratch)
    return Slots(parallel, min(2 * parallel, MOST_SLOTS - scratch) if shares else parallel, scratch, shares)


def _shape(config: EngineConfig, memory: MemoryPlan, slots: Slots, placement: Placement) -> ContextShape:
    on_devices = placement.is_complete and placement.on_devices > 0
    threads = config.threads or min(default_threads(), _THREADS_BESIDE_DEVICES if on_devices else default_threads())
    return ContextShape(
        cells=memory.cells,
        slots=slots.slots + slots.scratch,
        batch_tokens=BATCH_TOKENS_ON_DEVICES if on_devices else BATCH_TOKENS,
        most_logits=slots.most_logits,
        threads=threads,
        flash_attention=config.flash_attention,
        kv_type=config.kv_type,
        separate_streams=config.deterministic,
    )


def _uses(chosen: Sequence[ChosenDevice], placement: Placement) -> list[DeviceUse]:
    free = {device.name: device.free for device in devices()}
    return [
        DeviceUse(
            name=one.device.name,
            description=one.device.description,
            layers=placement.counts[one.device.name],
            memory=placement.device_bytes.get(one.device.name, 0),
            total=one.device.total,
            free_before=one.device.free,
            free_after=free.get(one.device.name, 0),
        )
        for one in chosen
        if one.device.name in placement.counts
    ]
