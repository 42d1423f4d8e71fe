"""The process that trains, or only looks at a dataset.

Started as ``python -P -m ponant.training.worker FOLDER [--dry-run]``; the folder has a ``run.json`` (see ``job``). It
tells how it goes on standard output, one JSON object a line (see ``progress``); the last one is ``done``, ``stopped``
or ``failed``, or with ``--dry-run`` ``validated`` or ``failed``. The exit code is 0 unless it has failed.

Whatever ends the process, the next one that is started on the folder goes on from the last checkpoint, and gets the
same losses as if nothing had happened. SIGTERM asks it to end after the current step. It ends when nobody reads what it
tells. Of two processes on one folder, the second fails at once. If it ends without a last event, it was killed: by
SIGKILL (exit code -9) most likely by the kernel, which takes this process first when memory runs out.

What is in the folder afterwards: ``samples`` (the dataset as tokens), ``checkpoints``, ``metrics.csv``, ``adapter``
(in PEFT's format) and ``adapter.gguf`` (in llama.cpp's).
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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import msgspec
import psutil

from ponant.errors import ModelLoadError, missing_extra
from ponant.llamacpp.vocabulary import Vocabulary
from ponant.prompts.build import build_prompts
from ponant.training.dataset import EncodedFile, InvalidDatasetError, encode_file, read_report
from ponant.training.errors import ExportError, TrainingError
from ponant.training.events import Done, Event, Failed, Phase, Resumed, Stopped, Tracked, Validated
from ponant.training.job import Precision, TrainingRun, read_run
from ponant.training.packing import PackedSequence, Packer
from ponant.training.plan import estimate_speed, make_plan
from ponant.training.recorders import CsvRecorder, EventRecorder, LineRecorder
from ponant.training.report import FileReport
from ponant.training.samples import SampleEncoder
from ponant.training.wandb_recorder import WandbRecorder

if TYPE_CHECKING:
    from ponant.training.lora import LoraTrainer

logger = logging.getLogger("ponant.training")

_ENVIRONMENT = {
    "GOMP_SPINCOUNT": "1000",  # or else threads that wait for each other starve the engines
    "HF_HUB_OFFLINE": "1",  # all that is needed is here: no name of a model is to be asked for in the network
    "TQDM_DISABLE": "1",  # standard error is a log: what helps there is what was said last
}
"""What the libraries that train find in the environment, unless there is something else."""
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NUMPY_FULL = " requested and "
"""What numpy says of a disk that is full: how many numbers it was to write, and how many it has written."""
_OOM_SCORE = 1000
"""The most there is: when the machine runs out of memory, the kernel takes this process, not an engine."""
_MAX_VALIDATION_SEQUENCES = 64
"""Sequences of the validation files that are measured: always the same."""
_NEXT_TURN_TOKENS = 1024
"""Tokens that a prompt may have beside those that are trained on: an answer is looked for in the next turn's prompt."""
_OUT_OF_MEMORY = (
    "the process ran out of memory: lower seq_len or batch_size, or train a smaller model; {taken} MiB were taken"
)


class TrainingProcess:
    """One run, from its description to the adapter."""

    def __init__(self, folder: Path, recorders: list[EventRecorder]) -> None:
        """Pass all events to ``recorders``.

        Those of the metrics are put before them later, so that the metrics are complete when the last event is out.
        """
        self._folder = folder
        self._recorders = recorders
        self._is_stopped = False

    def stop(self) -> None:
        """Ask the training to end after the current step."""
        self._is_stopped = True

    def run(self, run: TrainingRun, *, dry_run: bool) -> None:
        """Validate, and train unless it is a dry run.

        Raises:
            TrainingError: it cannot go on.
            InvalidDatasetError: the dataset is refused.
            ModelLoadError: the GGUF file cannot be read.
            OSError: of the disk.
        """
        self.record(Phase("validating"))
        _check_base(Path(run.model))
        vocabulary = Vocabulary(Path(run.model))
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

    def _samples(self, run: TrainingRun, vocabulary: Vocabulary, kind: str, paths: Sequence[str]) -> list[FileReport]:
        """The dataset as tokens in the run's folder, unless it is there already."""
        folder = self._folder / "samples" / kind
        if folder.is_dir():
            return [read_report(folder / str(index)) for index in range(len(paths))]
        encoder = _encoder(run, vocabulary)
        part = folder.with_name(f"{kind}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
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
        """The precision of the run, chosen by its first process: measured again, it might be another one."""
        path = self._folder / "precision"
        if not path.is_file():
            part = path.with_name("precision.part")
            part.write_text(choose())
            part.replace(path)
        return path.read_text()

    def _save(self, trainer: "LoraTrainer", model: Path) -> tuple[Path, Path]:
        """The adapter in PEFT's format and in llama.cpp's; each is there when it is complete, or not at all."""
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
        """Have the metrics kept elsewhere too, if that is wanted; before anything that takes long, as it may fail."""
        if run.wandb:
            config = {"model": run.name, **msgspec.structs.asdict(run.hyperparameters)}
            writer = WandbRecorder(run.wandb, self._folder, config)
            self._recorders.insert(0, writer)
            if writer.url:
                self.record(Tracked(writer.url))

    def _validation(self, run: TrainingRun) -> list[PackedSequence]:
        """What to measure by."""
        if not run.validation_files:
            return []
        packer = self._packer(run, "validation", [1.0] * len(run.validation_files))
        return [packer.pack(samples) for samples in packer.epoch(0)[:_MAX_VALIDATION_SEQUENCES]]


def _encoder(run: TrainingRun, vocabulary: Vocabulary) -> SampleEncoder:
    hyperparameters = run.hyperparameters
    architecture = vocabulary.metadata.get("general.architecture", "")
    longest = int(vocabulary.metadata.get(f"{architecture}.context_length", hyperparameters.seq_len))
    if hyperparameters.seq_len > longest:
        raise TrainingError(
            "bad_seq_len", f"seq_len is {hyperparameters.seq_len}, but the model reads {longest} tokens"
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


def _check_base(model: Path) -> None:
    """Refuse a model whose adapters could not be served, before hours are spent on one. Raises TrainingError."""
    try:
        from ponant.training.export import check_base
    except ImportError as error:
        raise _missing(error) from None
    try:
        check_base(model)
    except ExportError as error:
        raise TrainingError("bad_base_model", str(error)) from None


def _missing(error: ImportError) -> TrainingError:
    return TrainingError(
        "missing_package", f"fine-tuning is not installed ({error.name} is missing): {missing_extra('finetune')}"
    )


def _failure(error: Exception) -> Failed:
    """What to say of an error."""
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
        return Failed("no_disk_space", f"the disk is full: free some space, and start again ({error})")
    if isinstance(error, OSError | msgspec.MsgspecError):
        return Failed("unreadable_file", text)
    return Failed("internal_error", f"{type(error).__name__}: {text.splitlines()[0]}")


def run_folder(process: TrainingProcess, folder: Path, *, dry_run: bool = False) -> int:
    """Do what a folder describes; whatever goes wrong is told as the last event. Returns the exit code."""
    try:
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            run = read_run(folder)
            if run.memory:
                resource.setrlimit(resource.RLIMIT_DATA, (run.memory, run.memory))
            process.run(run, dry_run=dry_run)
    except BlockingIOError:
        process.record(Failed("already_running", f"another process is at work in {folder}"))
    except Exception as error:  # whatever it is, the last line says so
        logger.debug("training failed", exc_info=error)
        process.record(_failure(error))
    else:
        return 0
    return 1


def _claim_stdout() -> TextIO:
    """Standard output, for events alone: what libraries write there goes to standard error from now on."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return output


def _prefer_oom_kill() -> None:
    """Be the first process to be ended when the machine's memory is used up, where there is a choice (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))


def main() -> None:
    """Do what the command line names."""
    folder, *options = sys.argv[1:]
    process = TrainingProcess(Path(folder), [LineRecorder(_claim_stdout())])
    _prefer_oom_kill()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at a terminal it is meant for the one who started this process
    signal.signal(signal.SIGTERM, lambda *_: process.stop())
    sys.exit(run_folder(process, Path(folder), dry_run=options == ["--dry-run"]))


if __name__ == "__main__":
    main()
