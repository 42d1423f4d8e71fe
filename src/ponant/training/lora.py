"""LoRA: training of a small adapter next to frozen weights."""

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
"""Least speed of bfloat16 relative to float32 on a CPU that is worth its rounding."""


@dataclass(frozen=True)
class Outcome:
    """Result of the training."""

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
        """Add a new adapter to all linear layers.

        Args:
            base: the model, on the CPU.
            hyperparameters: hyperparameters.
            steps: number of steps.
            device: device of PyTorch.
            name: name of the base model, stored in the adapter.
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
            # PEFT reads a deprecated attribute of transformers.
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
        """Restore the last checkpoint in a folder, if there is one. Returns its step, or 0."""
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
            packer: packs the sequences to learn from.
            validation: sequences for the validation loss.
            folder: folder of the checkpoints.
            record: called with each step, validation and checkpoint.
            checkpoint_every: steps between checkpoints. The last step has one, too.
            validate_every: steps between validations. Each checkpoint has one, too.
            is_stopped: called after each step; if true, training ends with a checkpoint.

        Raises:
            TrainingError: the loss or the gradient is not finite.
            OSError: a checkpoint cannot be written.
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
        # The embeddings are not trained. To detect that, PEFT would request the base model from the hub.
        self._model.save_pretrained(folder, save_embedding_layers=False)

    def _learn(self, sequences: Sequence[PackedSequence], rate: float) -> tuple[float, float]:
        """Do one step. Returns the mean loss per learned token and the norm of the gradient."""
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
                f"the loss of step {self._step} is not a number. Use a learning_rate below "
                f"{self._hyperparameters.learning_rate:g}, or check the base model for damage",
            )

    def _logits(self, sequence: PackedSequence) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of the learned rows, shape (rows, vocabulary size), and their target tokens.

        Logits of other rows are not computed, as they are the largest cost. Positions restart at 0 with each sample,
        by which transformers masks attention between samples.
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
        """Return the mean loss per learned token, and the share of learned tokens that the model ranks first."""
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
        """Return the learning rate of this step, from 1: a linear warm-up, then a cosine decay to almost 0."""
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
    """Return the device of the first GPU, or else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_precision(device: str) -> Precision:
    """Return the faster precision of a device. On a CPU it is measured, as most lack bfloat16 instructions."""
    if device != "cpu":
        is_good = not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if is_good else "float32"
    single = _product_seconds(torch.float32, math.inf)
    half = _product_seconds(torch.bfloat16, 4 * single)
    return "bfloat16" if half * _GAIN < single else "float32"


def _product_seconds(dtype: torch.dtype, enough: float) -> float:
    """Return the least time of a matrix product, in seconds. Stops measuring above ``enough`` seconds."""
    rows, weights = torch.ones(256, 512, dtype=dtype), torch.ones(1024, 512, dtype=dtype)
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        torch.nn.functional.linear(rows, weights)
        best = min(best, time.perf_counter() - began)
        if best > enough:
            break
    return best
