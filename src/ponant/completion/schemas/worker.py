"""The schema worker: a process that compiles JSON schemas before an engine gets them.

Started as ``python -m ponant.completion.schemas.worker SECONDS MEMORY``: the most seconds of a job, and the most bytes
of address space beyond those of the started process. It is a process of its own because the compilation of a schema may
need unbounded time or memory. A job over the time limit ends the process by SIGALRM; one over the memory limit ends it
in a way that depends on llguidance. The checker reads the exit status.

Each line on standard input is a job: a JSON list of schemas, each as a pair with True if it is strict. For each schema,
one line is written to standard output: ``null``, ``{"reason": …, "path": …}``, with an ``error`` if the check itself
failed, or ``{"left_out": […], "without": […]}`` with the paths of keywords that are not enforced, and of those among
them that the schema can only be used without. The process ends with its input.
"""

import json
import os
import random
import re
import resource
import signal
import sys
import time
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ponant.completion.schemas.vocabulary import broad_tokenizer
from ponant.processes.child import leave_end_to_parent
from ponant.processes.limits import limit_memory
from ponant.prompts.json_schema.document import Document, Path, UnusableSchemaError
from ponant.prompts.json_schema.relaxation import KEYWORDS, places_of, without
from ponant.prompts.json_schema.rules import part_rule

_STEPS = 200
_BROAD_STEPS = 24
_BROAD_SAMPLES = 6
_BROAD_FUEL = 60_000
"""Limit of the work per mask with the artificial vocabulary. Masks of real ones take up to 4 times as much, and
llguidance's own limit is 200,000.
"""
_LONGEST_REASON = 300
_LONGEST_PATH = 200
_MOST_LEFT_OUT = 20
"""Number of keywords of a schema that a warning names."""
_NICENESS = 5
_STACK = 4 * 2**20
"""Bytes of the stack: half of an engine's usual stack, as a margin for deeply nested schemas."""
_TOKENIZER = LLTokenizer("byte")
_EXPRESSION = '"pattern'
"""Beginning of the keywords with regular expressions."""
_ENDING = frozenset(b'"}],')
_PREFIX = re.compile(r"^(?:at \d+\(\d+\): |failed to compile JSON schema: )*")
_WORDINGS = {
    "are not disjoint": 'regular expressions of "patternProperties" may match the same names, which is not supported',
    "can't determine if patternProperty": 'regular expressions of "patternProperties" are too complex to compare',
    "lookarounds not supported": "a regular expression with ^ or $ elsewhere than at its ends is not supported",
    "circular references with sibling": '"$ref" that leads back to itself must stand alone',
    "Unable to determine if regex is empty": "a regular expression is too complex",
    "Regex is empty": "no text can satisfy it",
    "only supported when all keys": '"minProperties" and "maxProperties" are not supported for what may be left out',
    "schema too large": "it is too large when its alternatives are written out",
    "stack level exceeded": "its references and alternatives are nested too deeply",
    "uel exhausted": "it is too complex to follow",
    "too many expressions": "a regular expression is too complex",
    "oo complex": "it is too complex to follow",
    "Current row has": "it is too complex to follow",
    "oo many": "it is too complex to follow, or its documents have no end",
}


_MISTAKES = ("no document can satisfy it", "no text can satisfy it", "a regular expression: ")
"""Beginnings of the reasons that are mistakes in a schema, which no engine could follow."""
_MOST_REMOVED = 8
"""Number of keywords that are removed from a schema one by one."""


class FaultFinder:
    """Finder of faults in schemas.

    Attributes:
        left_out: paths of the keywords that the translation of the last schema left out.
        without: paths of the keywords that were removed from the last schema before its translation.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._strict = True
        self.left_out: dict[Path, None] = {}
        self.without: list[Path] = []

    def find(self, schema: dict[str, Any], *, strict: bool = True) -> tuple[str, Path] | None:
        """Return the reason why a schema cannot be used and the path of the faulty part; None if it can be used.

        Unless it is ``strict``, keywords that cannot be enforced are left out.
        """
        self._strict, self.left_out, self.without = strict, {}, []
        until = time.monotonic() + self._seconds / 2
        reason = self._try(schema, ())
        while isinstance(reason, str):
            fault = self._deepest(schema, reason, until)
            removed = [] if strict or fault[0].startswith(_MISTAKES) else self._suspects(schema, fault[1], until)
            if not removed:
                return fault
            self.without += removed
            schema = without(schema, removed)
            reason = self._try(schema, ())
        return reason

    def _suspects(self, schema: dict[str, Any], path: Path, until: float) -> list[Path]:
        """Return the paths of keywords without which a schema may be simple enough: one in the faulty part, or all."""
        part = Document(schema).part(path)
        if len(self.without) < _MOST_REMOVED and time.monotonic() < until:
            suspect = next((keyword for keyword in KEYWORDS if keyword in part), None)
            if suspect:
                return [(*path, suspect)]
        return places_of(schema, KEYWORDS)

    def _deepest(self, schema: dict[str, Any], reason: str, until: float) -> tuple[str, Path]:
        """Return the reason and path of the innermost faulty part that is found by ``until`` (monotonic seconds)."""
        document = Document(schema)
        path: Path = ()
        seen = {path}
        while True:
            faults = []
            for part in document.parts(path):
                if time.monotonic() > until:
                    return reason, path
                if part not in seen and isinstance(document.part(part), dict):
                    seen.add(part)
                    fault = self._try(schema, part)
                    faults += [(part, fault)] if isinstance(fault, str) else []
            if not faults:
                return reason, path
            path, reason = next((found for found in faults if found[1] == reason), faults[0])

    def _try(self, schema: dict[str, Any], part: Path) -> str | tuple[str, Path] | None:
        """Return the reason why a part of a schema cannot be used, with the path of the fault if it is known."""
        try:
            rule = part_rule(schema, part, left_out=None if self._strict else self.left_out)
        except UnusableSchemaError as error:
            return str(error), error.path or ()
        except RecursionError:
            return "it is too complex"
        return use(f"start: {rule}")


def use(grammar: str) -> str | None:
    """Compile a grammar and generate samples; return the error, if any.

    Regular expressions are tried with a broad vocabulary as well.
    """
    error = _tried(LLMatcher(_TOKENIZER, grammar, log_level=0), steps=_STEPS, seeds=1)
    if error is None and _EXPRESSION in grammar:
        limits = LLParserLimits(step_lexer_fuel=_BROAD_FUEL)
        matcher = LLMatcher(broad_tokenizer(), grammar, log_level=0, limits=limits)
        error = _tried(matcher, steps=_BROAD_STEPS, seeds=_BROAD_SAMPLES)
    return error


def _tried(matcher: LLMatcher, *, steps: int, seeds: int) -> str | None:
    """Generate short samples of a grammar and a long one; return the error, if any."""
    samples = [matcher.deep_copy() for _ in range(seeds)]
    for seed, sample in enumerate(samples):
        if error := _write(sample, brief=True, steps=steps, seed=seed):
            return error
    return _write(matcher, brief=False, steps=steps, seed=0)


def _write(matcher: LLMatcher, *, brief: bool, steps: int, seed: int) -> str | None:
    """Generate a sample of a grammar, and return the error, if any. Without ``brief`` it ends only where it must."""
    dice = random.Random(seed)  # noqa: S311 - the same sample each time
    for _ in range(steps):
        if matcher.is_error():
            return short(matcher.get_error())
        if matcher.is_stopped():
            return None
        mask = matcher.compute_bitmask()
        if matcher.is_error():
            return short(matcher.get_error())
        allowed = [byte for byte in range(256) if mask[byte // 8] >> byte % 8 & 1]
        if not allowed:
            return None if matcher.is_accepting() else "no document can satisfy it"
        ending = [byte for byte in allowed if byte in _ENDING]
        if not brief:
            allowed = [byte for byte in allowed if byte not in _ENDING] or allowed
        matcher.consume_token(dice.choice(ending if brief and ending and dice.random() < 0.3 else allowed))
    return short(matcher.get_error()) if matcher.is_error() else None


def short(error: str) -> str:
    """Return llguidance's error without the grammar and the position in it."""
    lines = error.strip().splitlines() or ["it cannot be compiled"]
    for needle, wording in _WORDINGS.items():
        if needle in lines[0]:
            return wording
    if "regex parse error" in lines[0]:
        return "a regular expression: " + next((line[7:] for line in lines if line.startswith("error: ")), "it is none")
    return _PREFIX.sub("", lines[0]).replace("Unsatisfiable schema: ", "no document can satisfy it: ")


def main() -> None:
    """Run the jobs from standard input."""
    leave_end_to_parent()
    seconds, memory = float(sys.argv[1]), int(sys.argv[2])
    _limit(memory)
    finder = FaultFinder(seconds)
    try:
        for line in sys.stdin.buffer:
            if _EXPRESSION.encode() in line:
                broad_tokenizer()  # built once, outside of the time limit
            signal.setitimer(signal.ITIMER_REAL, seconds)
            schemas = json.loads(line)
            for left, (schema, strict) in zip(reversed(range(len(schemas))), schemas, strict=True):
                answer = _answer(finder, schema, strict)
                if not left:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                _tell(answer)
    except MemoryError:
        os.abort()


def _limit(memory: int) -> None:
    os.nice(_NICENESS)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_STACK, _STACK)
    limit_memory(memory)


def _lower(limit: int, value: int) -> None:
    now, most = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if now == resource.RLIM_INFINITY else min(now, value), most))


def _answer(finder: FaultFinder, schema: dict[str, Any], strict: bool) -> dict[str, Any] | None:
    try:
        fault = finder.find(schema, strict=strict)
    except MemoryError:
        raise
    except BaseException as error:  # llguidance's panics are not exceptions
        return {"reason": "it cannot be compiled", "path": "", "error": type(error).__name__}
    if fault is None:
        paths = list(dict.fromkeys([*finder.without, *finder.left_out]))[:_MOST_LEFT_OUT]
        return {"left_out": [_written(path) for path in paths], "without": finder.without} if paths else None
    reason, path = fault
    return {"reason": reason[:_LONGEST_REASON], "path": _written(path)}


def _written(path: Path) -> str:
    return "".join(f".{step}" for step in path)[:_LONGEST_PATH]


def _tell(result: Any) -> None:
    """Write a line; end the process if the pipe is closed."""
    try:
        sys.stdout.write(f"{json.dumps(result)}\n")
        sys.stdout.flush()
    except OSError:
        os._exit(1)


if __name__ == "__main__":
    main()
