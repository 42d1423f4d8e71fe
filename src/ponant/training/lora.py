"""LoRA: a small adapter is trained beside weights that stay as they are."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from peft import LoraConfig, get_peft_model

from ponant.training.checkpoints import load_checkpoint, save_checkpoint
from ponant.training.errors import TrainingError
from ponant.training.events import Checkpoint, Event, Metrics, TrainingStep, Validation
from ponant.training.job import Hyperparameters, Precision
from ponant.training.packing import PackedSequence, Packer, Position, SequenceStream

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LINEAR = "all-linear"
_GAIN = 1.2
"""How many times as fast bfloat16 must be on a CPU to be worth its rounding."""


@dataclass(frozen=True)
class Outcome:
    """How the training has ended."""

    step: int
    trained_tokens: int
    metrics: Metrics
    is_stopped: bool


class LoraTrainer:
    """Trains the adapter of one model."""

    def __init__(
        self,
        base: "PreTrainedModel",
        hyperparameters: Hyperparameters,
        *,
        steps: int,
        device: str,
        name: str = "",
    ) -> None:
        """Put a fresh adapter beside all linear layers.

        Args:
            base: the model, on the CPU.
            hyperparameters: how to train.
            steps: how many steps there will be.
            device: of PyTorch, for all computing.
            name: of the base model, as the adapter's file has it.
        """
        torch.manual_seed(hyperparameters.seed)
        config = LoraConfig(
            r=hyperparameters.rank,
            lora_alpha=hyperparameters.alpha,
            lora_dropout=0.0,
            target_modules=_LINEAR,
            task_type="CAUSAL_LM",
        )
        with warnings.catch_warnings():
            # PEFT asks by the old name whether activations are kept; it is between the two libraries.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            self._model: Any = get_peft_model(base, config)
        self._model.peft_config["default"].base_model_name_or_path = name
        self._model.to(device)
        self._device = device
        self._hyperparameters = hyperparameters
        self._steps = steps
        self._weights: dict[str, torch.nn.Parameter] = {
            name: weight for name, weight in self._model.named_parameters() if weight.requires_grad
        }
        self._optimizer = torch.optim.AdamW(
            self._weights.values(), lr=hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay
        )
        self._step = 0
        self._tokens = 0
        self._position = Position()
        self._metrics = Metrics()

    def resume(self, folder: Path) -> int:
        """Go back to the last checkpoint in a folder, if there is one. Returns the step that it was made after."""
        state = load_checkpoint(folder)
        if state:
            for name, weight in self._weights.items():
                weight.data.copy_(state["weights"][name])
            self._optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"])
            if len(state["random_cuda"]) == torch.cuda.device_count():
                torch.cuda.set_rng_state_all(state["random_cuda"])
            self._step, self._tokens = state["step"], state["tokens"]
            self._position = Position(*state["position"])
            self._metrics = Metrics(*state["metrics"])
        return self._step

    def train(
        self,
        packer: Packer,
        validation: Sequence[PackedSequence],
        folder: Path,
        record: Callable[[Event], None],
        *,
        checkpoint_every: int,
        validate_every: int,
        is_stopped: Callable[[], bool],
    ) -> Outcome:
        """Train up to the last step.

        Args:
            packer: makes the sequences to learn from.
            validation: sequences to measure by.
            folder: of the checkpoints.
            record: called with each step, measure and checkpoint.
            checkpoint_every: steps between checkpoints; there is always one after the last step.
            validate_every: steps between measures; there is always one before each checkpoint.
            is_stopped: asked after each step whether to end with a checkpoint.

        Raises:
            TrainingError: the numbers have gone out of bounds.
            OSError: a checkpoint could not be written.
        """
        stream = SequenceStream(packer, self._position)
        began, before = time.monotonic(), self._tokens
        losses: list[float] = []
        ends = self._step >= self._steps
        while not ends:
            self._step += 1
            sequences = [stream.next() for _ in range(self._hyperparameters.batch_size)]
            rate = self._learning_rate()
            loss, norm = self._learn(sequences, rate)
            losses.append(loss)
            self._tokens += sum(len(sequence.tokens) for sequence in sequences)
            speed = (self._tokens - before) / max(time.monotonic() - began, 1e-6)
            left = math.ceil((self._steps - self._step) * self._tokens / self._step / speed)
            record(TrainingStep(self._step, self._steps, loss, rate, norm, self._tokens, round(speed, 1), left))
            ends = self._step == self._steps or is_stopped()
            saves = ends or self._step % checkpoint_every == 0
            if saves or self._step % validate_every == 0:
                self._metrics = Metrics(sum(losses) / len(losses), *self._measure(validation))
                if validation:
                    record(Validation(self._step, self._metrics))
            if saves:
                losses.clear()
                self._position = stream.position
                save_checkpoint(folder, self._step, self._state())
                record(Checkpoint(self._step, self._metrics))
        return Outcome(self._step, self._tokens, self._metrics, self._step < self._steps)

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's format."""
        # The embeddings are never trained; to find out, PEFT would look for the base model at the hub, by its name.
        self._model.save_pretrained(folder, save_embedding_layers=False)

    def _learn(self, sequences: Sequence[PackedSequence], rate: float) -> tuple[float, float]:
        """Learn from sequences. The loss is the mean of all their learned tokens, the norm that of the gradient."""
        self._model.train()
        count = sum(len(sequence.targets) for sequence in sequences)
        total = 0.0
        for sequence in sequences:
            loss = self._loss(*self._logits(sequence)) / max(count, 1)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self._weights.values(), self._hyperparameters.clip))
        self._check_finite(total, norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad()
        return total, norm

    def _check_finite(self, *numbers: float) -> None:
        if not all(map(math.isfinite, numbers)):
            raise TrainingError(
                "not_a_number",
                f"the loss of step {self._step} is not a number: try a lower learning_rate than "
                f"{self._hyperparameters.learning_rate:g}, or look for damage in the base model",
            )

    def _logits(self, sequence: PackedSequence) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of the rows that learn, and what they should say. No others are computed: they cost the most.

        Positions that begin anew tell transformers where samples end; it lets no sample see another.
        """
        tokens, positions, rows, targets = (
            torch.from_numpy(values).to(self._device)
            for values in (sequence.tokens, sequence.positions, sequence.rows, sequence.targets)
        )
        output = self._model(input_ids=tokens[None], position_ids=positions[None], logits_to_keep=rows, use_cache=False)
        return output.logits[0].float(), targets

    @staticmethod
    def _loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    @torch.inference_mode()
    def _measure(self, sequences: Sequence[PackedSequence]) -> tuple[float | None, float | None]:
        """Mean loss of the learned tokens, and the share of them that the model holds the most likely ones."""
        self._model.eval()
        loss, right, count = 0.0, 0, 0
        for sequence in sequences:
            logits, targets = self._logits(sequence)
            loss += float(self._loss(logits, targets))
            right += int((logits.argmax(-1) == targets).sum())
            count += len(targets)
        self._check_finite(loss)
        return (loss / count, right / count) if count else (None, None)

    def _learning_rate(self) -> float:
        """Of this step, counted from 1: rises to the whole rate, and falls to almost 0 along a cosine."""
        peak = self._hyperparameters.learning_rate
        warmup = round(self._hyperparameters.warmup_fraction * self._steps)
        if self._step <= warmup:
            return peak * self._step / warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (self._step - 1 - warmup) / max(self._steps - warmup, 1)))

    def _state(self) -> dict[str, Any]:
        return {
            "step": self._step,
            "tokens": self._tokens,
            "position": [self._position.epoch, self._position.sequence],
            "metrics": list(msgspec.structs.astuple(self._metrics)),
            "weights": {name: weight.detach() for name, weight in self._weights.items()},
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),
        }


def choose_device() -> str:
    """The first GPU, if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_precision(device: str) -> Precision:
    """What the device computes well: measured on a CPU, as most have no instructions for bfloat16."""
    if device != "cpu":
        is_good = not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if is_good else "float32"
    single = _product_seconds(torch.float32, math.inf)
    half = _product_seconds(torch.bfloat16, 4 * single)
    return "bfloat16" if half * _GAIN < single else "float32"


def _product_seconds(dtype: torch.dtype, enough: float) -> float:
    """What a product of matrices takes at best; measured once only if it takes more than ``enough``."""
    rows, weights = torch.ones(256, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        best = min(best, time.perf_counter() - began)
        if best > enough:
            break
    return best
