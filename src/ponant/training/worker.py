"""The training process.

Started as ``python -P -m ponant.training.worker FOLDER [--dry-run]``. The folder has a ``run.json`` (see ``job``).
Events go to standard output, one JSON object per line (see ``events``). The last one is ``done``, ``stopped`` or
``failed``, or with ``--dry-run``, which only validates the dataset, ``validated`` or ``failed``. The exit code is 0
unless the run failed.

After any end of the process, the next process on the folder resumes from the last checkpoint and computes the same
losses as an uninterrupted run. On SIGTERM, the process ends after the current step. It also ends when the reader of its
events is gone. A second process on the same folder fails at once. A process that ends without a last event was killed;
exit code -9 (SIGKILL) is most likely the kernel, which kills this process first when memory runs out.

Files in the folder afterwards: ``samples`` (the dataset as tokens), ``checkpoints``, ``metrics.csv``, ``adapter``
(PEFT's format) and ``adapter.gguf`` (llama.cpp's format).
"""

import contextlib
import errno
import fcntl
import logging
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec
import psutil

from ponant.errors import ModelLoadError, missing_extra
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.private_files import make_folder, open_file, write_bytes
from ponant.prompts.build import build_prompts
from ponant.training.dataset import EncodedFile, InvalidDatasetError, encode_file
from ponant.training.errors import ExportError, TrainingError
from ponant.training.events import Done, Event, Failed, Phase, Resumed, Stopped, Tracked, Validated
from ponant.training.job import Precision, TrainingRun, read_run
from ponant.training.packing import PackedSequence, Packer
from ponant.training.plan import estimate_speed, make_plan
from ponant.training.recorders import CsvRecorder, EventRecorder, LineRecorder
from ponant.training.report import FileReport, read_report
from ponant.training.samples import SampleEncoder
from ponant.training.support import check_base
from ponant.training.wandb_recorder import WandbRecorder

if TYPE_CHECKING:
    from ponant.training.lora import LoraTrainer

logger = logging.getLogger("ponant.training")

_ENVIRONMENT = {
    "GOMP_SPINCOUNT": "1000",  # spinning threads would starve the engines
    "HF_HUB_OFFLINE": "1",  # all files are local: never request a model from the network
    "TQDM_DISABLE": "1",  # standard error is a log, whose last line is reported
}
"""Defaults of environment variables for the libraries of training."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NUMPY_FULL = " requested and "
"""Part of numpy's message about a full disk: the numbers of values to write and written."""
_OOM_SCORE = 1000
"""The maximum: when the machine runs out of memory, the kernel kills this process, not an engine."""
_MAX_VALIDATION_SEQUENCES = 64
"""Most sequences of the validation files that are measured; always the same ones."""
_NEXT_TURN_TOKENS = 1024
"""Tokens of a prompt beyond ``seq_len``: an answer is cut from the prompt of the next turn."""
_OUT_OF_MEMORY = "the process ran out of memory at {taken} MiB. Lower seq_len or batch_size, or train a smaller model"


class TrainingProcess:
    """Executes one run, from its description to the adapter."""

    def __init__(self, folder: Path, recorders: list[EventRecorder]) -> None:
        """Pass all events to ``recorders``.

        Recorders of metrics are inserted before them later, so the metrics are complete when the last event is sent.
        """
        self._folder = folder
        self._recorders = recorders
        self._is_stopped = False

    def stop(self) -> None:
        """Request the end of the training after the current step."""
        self._is_stopped = True

    def run(self, run: TrainingRun, *, dry_run: bool) -> None:
        """Validate the dataset, and train unless it is a dry run.

        Raises:
            TrainingError: training cannot start or continue.
            InvalidDatasetError: the dataset is refused.
            ModelLoadError: the GGUF file cannot be read.
            OSError: the disk failed.
        """
        self.record(Phase("validating"))
        vocabulary = GGUFVocabulary(Path(run.model))
        _check_base(Path(run.model), vocabulary.metadata)
        training = self._samples(run, vocabulary, "training", [file.path for file in run.training_files])
        validation = self._samples(run, vocabulary, "validation", run.validation_files)
        packer = self._packer(run, "training", [file.weight for file in run.training_files])
        plan = make_plan(packer, run.hyperparameters, estimate_speed(vocabulary.metadata))
        self.record(Validated(training, validation, plan))
        if not dry_run:
            self._train(run, packer, plan.steps)

    def record(self, event: Event) -> None:
        """Pass an event to all recorders."""
        for recorder in self._recorders:
            recorder.record(event)

    def _samples(
        self, run: TrainingRun, vocabulary: GGUFVocabulary, kind: str, paths: Sequence[str]
    ) -> list[FileReport]:
        """Encode dataset files into the run's folder, unless an earlier process has. Returns their reports."""
        folder = self._folder / "samples" / kind
        if folder.is_dir():
            return [read_report(folder / str(index)) for index in range(len(paths))]
        encoder = _encoder(run, vocabulary)
        part = folder.with_name(f"{kind}.part")
        shutil.rmtree(part, ignore_errors=True)
        make_folder(part)
        reports = [
            encode_file(Path(path), part / str(index), encoder, max_invalid=run.invalid_sample_skip_percentage)
            for index, path in enumerate(paths)
        ]
        part.rename(folder)
        return reports

    def _packer(self, run: TrainingRun, kind: str, weights: Sequence[float]) -> Packer:
        folder = self._folder / "samples" / kind
        files = [EncodedFile.open(folder / str(index)) for index in range(len(weights))]
        return Packer(files, weights, seq_len=run.hyperparameters.seq_len, seed=run.hyperparameters.seed)

    def _train(self, run: TrainingRun, packer: Packer, steps: int) -> None:
        self.record(Phase("loading"))
        self._start_wandb(run)
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import torch

            from ponant.training.base_weights import load_base
            from ponant.training.lora import LoraTrainer, choose_device, choose_precision
        except ImportError as error:
            raise _missing(error) from None
        torch.set_num_threads(run.threads or psutil.cpu_count(logical=False) or 1)
        device = run.device or choose_device()
        dtype = getattr(torch, run.precision or self._precision(partial(choose_precision, device)))
        weights = Path(run.weights) if run.weights else None
        base = load_base(Path(run.model), Path(run.cache), dtype=dtype, weights=weights)
        trainer = LoraTrainer(base, run.hyperparameters, steps=steps, device=device, name=run.name)
        checkpoints = self._folder / "checkpoints"
        step = trainer.resume(checkpoints)
        self._recorders.insert(0, CsvRecorder(self._folder / "metrics.csv", after=step))
        if step:
            self.record(Resumed(step))
        every = run.checkpoint_every or max(1, steps // 10)
        self.record(Phase("training"))
        outcome = trainer.train(
            packer,
            self._validation(run),
            checkpoints,
            self.record,
            checkpoint_every=every,
            validate_every=run.validate_every or every,
            is_stopped=lambda: self._is_stopped,
        )
        if outcome.is_stopped:
            self.record(Stopped(outcome.step))
            return
        self.record(Phase("saving"))
        adapter, exported = self._save(trainer, Path(run.model))
        self.record(Done(str(adapter), str(exported), outcome.step, outcome.trained_tokens, outcome.metrics))

    def _precision(self, choose: Callable[[], Precision]) -> str:
        """Return the precision of the run. Its first process stores it, as another measurement could differ."""
        path = self._folder / "precision"
        if not path.is_file():
            part = path.with_name("precision.part")
            write_bytes(part, choose().encode())
            part.replace(path)
        return path.read_text()

    def _save(self, trainer: "LoraTrainer", model: Path) -> tuple[Path, Path]:
        """Write the adapter in PEFT's and in llama.cpp's format, each atomically, and return both paths."""
        from ponant.training.export import export_adapter

        adapter, exported = self._folder / "adapter", self._folder / "adapter.gguf"
        part = adapter.with_name("adapter.part")
        for old in (part, adapter):
            shutil.rmtree(old, ignore_errors=True)
        trainer.save(part)
        part.rename(adapter)
        export_adapter(adapter, model, exported)
        return adapter, exported

    def _start_wandb(self, run: TrainingRun) -> None:
        """Start recording at Weights & Biases, if requested. It can fail, so it precedes all slow steps."""
        if run.wandb:
            config = {"model": run.name, **msgspec.structs.asdict(run.hyperparameters)}
            writer = WandbRecorder(run.wandb, self._folder, config)
            self._recorders.insert(0, writer)
            if writer.url:
                self.record(Tracked(writer.url))

    def _validation(self, run: TrainingRun) -> list[PackedSequence]:
        """Return the sequences for the validation loss."""
        if not run.validation_files:
            return []
        packer = self._packer(run, "validation", [1.0] * len(run.validation_files))
        return [packer.pack(samples) for samples in packer.epoch(0)[:_MAX_VALIDATION_SEQUENCES]]


def _encoder(run: TrainingRun, vocabulary: GGUFVocabulary) -> SampleEncoder:
    hyperparameters = run.hyperparameters
    architecture = vocabulary.metadata.get("general.architecture", "")
    longest = int(vocabulary.metadata.get(f"{architecture}.context_length", hyperparameters.seq_len))
    if hyperparameters.seq_len > longest:
        raise TrainingError(
            "bad_seq_len", f"seq_len ({hyperparameters.seq_len}) exceeds the context length of the model ({longest})"
        )
    weights = Path(run.model)
    prompts, fim = build_prompts(
        run.name or weights.stem,
        weights,
        vocabulary,
        context=hyperparameters.seq_len + _NEXT_TURN_TOKENS,
        tokenizer=Path(run.tokenizer) if run.tokenizer else None,
    )
    return SampleEncoder(
        vocabulary,
        prompts,
        fim,
        seq_len=hyperparameters.seq_len,
        fim_ratio=hyperparameters.fim_ratio,
        seed=hyperparameters.seed,
    )


def _check_base(model: Path, metadata: Mapping[str, str]) -> None:
    """Refuse a model whose adapters cannot be served, before the training. Raises TrainingError."""
    try:
        check_base(model, metadata.get("general.architecture", ""), int(metadata.get("split.count", 1)))
    except ExportError as error:
        raise TrainingError("bad_base_model", str(error)) from None


def _missing(error: ImportError) -> TrainingError:
    return TrainingError(
        "missing_package", f"fine-tuning is not installed ({error.name} is missing): {missing_extra('finetune')}"
    )


def _failure(error: Exception) -> Failed:
    """Return the event of an error."""
    text = str(error) or type(error).__name__
    if isinstance(error, TrainingError):
        return Failed(error.kind, text)
    if isinstance(error, InvalidDatasetError):
        return Failed("invalid_dataset", text)
    if isinstance(error, ModelLoadError):
        return Failed("bad_base_model", text)
    if isinstance(error, MemoryError) or any(words in text for words in ("can't allocate memory", "out of memory")):
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return Failed("out_of_memory", _OUT_OF_MEMORY.format(taken=taken))
    if isinstance(error, OSError) and (error.errno in _DISK_FULL or _NUMPY_FULL in text):
        return Failed("no_disk_space", f"the disk is full. Free some space and start again ({error})")
    if isinstance(error, OSError | msgspec.MsgspecError):
        return Failed("unreadable_file", text)
    return Failed("internal_error", f"{type(error).__name__}: {text.splitlines()[0]}")


def run_folder(process: TrainingProcess, folder: Path, *, dry_run: bool = False) -> int:
    """Execute the run of a folder, with errors as its last event. Returns the exit code."""
    try:
        with open_file(folder / ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            run = read_run(folder)
            if run.memory:
                resource.setrlimit(resource.RLIMIT_DATA, (run.memory, run.memory))
            process.run(run, dry_run=dry_run)
    except BlockingIOError:
        process.record(Failed("already_running", f"another process works in {folder}"))
    except Exception as error:  # the last event has the reason
        logger.debug("training failed", exc_info=error)
        process.record(_failure(error))
    else:
        return 0
    return 1


def _claim_stdout() -> TextIO:
    """Return standard output for events only. Output of libraries goes to standard error from now on."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _prefer_oom_kill() -> None:
    """Make the kernel kill this process first when memory runs out (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))


def main() -> None:
    """Run the command line."""
    folder, *options = sys.argv[1:]
    process = TrainingProcess(Path(folder), [LineRecorder(_claim_stdout())])
    _prefer_oom_kill()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the parent process
    signal.signal(signal.SIGTERM, lambda *_: process.stop())
    sys.exit(run_folder(process, Path(folder), dry_run=options == ["--dry-run"]))


if __name__ == "__main__":
    main()
