"""From a JSON schema to one that llguidance follows to the letter.

llguidance takes most words of draft 2020-12, but some of them, and of older drafts, only roughly or under conditions.
The schema that is written here has only what it takes exactly. It allows what the given one allows, or a little less:

* strings are written with JSON's short escapes, so that no property can be named in two ways,
* bounds of numbers and regular expressions are taken as in ``numbers`` and ``patterns``,
* properties come in the order in which the schema names them, which is llguidance's own condition.

What cannot be written that way is refused, with the part that is at fault.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from ponant.prompts.json_schema.arrays import array_words
from ponant.prompts.json_schema.document import Document, Path, UnusableSchemaError
from ponant.prompts.json_schema.logic import Logic, Schema, canonical
from ponant.prompts.json_schema.numbers import bounds, can_combine, divisor, is_exact
from ponant.prompts.json_schema.objects import object_words
from ponant.prompts.json_schema.patterns import PatternError, translate_pattern, writable
from ponant.prompts.json_schema.words import count_of, list_of, mapping_of

_MOST_SUBSCHEMAS = 20_000
_TYPES = frozenset(["null", "boolean", "number", "integer", "string", "array", "object"])
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])
"""Formats that llguidance follows. They only annotate, and are taken where nothing else is said of a text."""
_LONGEST_TEXT = 2**31 - 1
_ELSEWHERE = {"properties", "patternProperties", "additionalProperties", "unevaluatedProperties"}
_ELSEWHERE |= {"items", "prefixItems", "additionalItems", "unevaluatedItems"}
"""Words whose schemas are not for the same value but for what is in it."""
_COMBINING = frozenset(("$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "dependencies"))
_REFUSED = ("$dynamicRef", "$recursiveRef")

_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_STRINGS = ("minLength", "maxLength", "pattern", "format")
_ARRAYS = ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains")
_OBJECTS = ("properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties")


def translate(schema: dict[str, Any], part: Path = ()) -> dict[str, Any]:
    """A schema for llguidance that allows only what the given one allows.

    Args:
        schema: the whole schema.
        part: where in it the one is that is wanted, if it is not the whole.

    Raises:
        UnusableSchemaError: there is none that comes near enough.
    """
    return _Translation(schema, part).translated()


class _Translation:
    """One schema being translated."""

    def __init__(self, root: dict[str, Any], part: Path) -> None:
        self._document = Document(root)
        self._wanted = part
        self._logic = Logic(self._document)
        self._names: dict[Path, str] = {}
        self._pending: list[tuple[str, Any, Path]] = []
        self._definition = part
        self._same: dict[Path, list[Path]] = {}
        self._left = _MOST_SUBSCHEMAS
        self._divisors: set[float] = set()
        self._combines = False
        self._parts: tuple[tuple[tuple[str, ...], Callable[[dict[str, Any], Path], dict[str, Any]]], ...] = (
            (("type",), _types),
            (("enum", "const"), _values),
            (_NUMBERS, self._number),
            (_STRINGS, _string),
            ((*_ARRAYS, "unevaluatedItems"), lambda words, path: array_words(words, path, self.subschema)),
            ((*_OBJECTS, "propertyNames", "unevaluatedProperties"), self._object),
            (("$ref",), self._reference),
            (("allOf",), self._all_of),
            (("anyOf",), self._any_of),
            (("oneOf",), self._one_of),
            (("not",), self._not),
            (("if",), self._conditional),
            (("dependentRequired", "dependentSchemas", "dependencies"), self._dependent),
        )

    def translated(self) -> dict[str, Any]:
        """The whole schema, with the definitions that it refers to."""
        written = self.subschema(self._document.part(self._wanted), self._wanted)
        root: dict[str, Any] = written if isinstance(written, dict) else {"anyOf": [written]}
        definitions: dict[str, Schema] = {}
        while self._pending:
            name, schema, self._definition = self._pending.pop(0)
            definitions[name] = self.subschema(schema, self._definition)
        self._refuse_circles()
        if definitions:
            root["$defs"] = definitions
        if self._combines and not can_combine(self._divisors):
            raise UnusableSchemaError('the numbers of "multipleOf" are too large', ())
        return root

    def subschema(self, schema: Any, path: Path) -> Schema:
        """One part of the schema."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise UnusableSchemaError("a schema must be an object or a boolean", path)
        self._left -= 1
        if self._left < 0:
            raise UnusableSchemaError(
                f"it has more than {_MOST_SUBSCHEMAS} parts when its alternatives are written out", ()
            )
        words = self._document.words(schema)
        for word in _REFUSED:
            if word in words:
                raise UnusableSchemaError(f'"{word}" is not supported', path)
        self._combines = self._combines or not _COMBINING.isdisjoint(words)
        fragments = []
        order = {word: place for place, word in enumerate(words)}
        for named, part in self._parts:
            places = [order[word] for word in named if word in order]
            if places:
                fragments.append((min(places), _located(part, words, path)))
        fragments.sort(key=lambda fragment: fragment[0])
        return _merged([fragment for _, fragment in fragments])

    def _number(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        types = _types(words, path).get("type", ["number"])
        factor = divisor(words)
        self._divisors |= set(factor.values())
        return bounds(words, integers="number" not in types) | factor

    def _object(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        return object_words(words, path, self.subschema, self._document)

    def _reference(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        target, place = self._document.resolve(words["$ref"])
        if _ELSEWHERE.isdisjoint(path[len(self._definition) :]):
            self._same.setdefault(self._definition, []).append(place)
        if place == self._wanted:
            return {"$ref": "#"}
        if place not in self._names:
            self._names[place] = str(len(self._names))
            self._pending.append((self._names[place], target, place))
        return {"$ref": f"#/$defs/{self._names[place]}"}

    def _refuse_circles(self) -> None:
        """Refuse references that lead back to where they are without having gone into an item or a property."""
        for start in self._same:
            todo, seen = [start], set[Path]()
            while todo:
                for place in self._same.get(todo.pop(), ()):
                    if place == start:
                        raise UnusableSchemaError('"$ref" leads back to itself', start)
                    if place not in seen:
                        seen.add(place)
                        todo.append(place)

    def _all_of(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        return {"allOf": self._each(words, "allOf", path)}

    def _any_of(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        return {"anyOf": self._each(words, "anyOf", path)}

    def _each(self, words: dict[str, Any], word: str, path: Path) -> list[Schema]:
        return [self.subschema(part, (*path, word, index)) for index, part in enumerate(list_of(words, word))]

    def _one_of(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        """Alternatives of which each excludes the others, by themselves or because that is added."""
        alternatives = list_of(words, "oneOf")
        overlapping = self._overlapping(alternatives, words)
        branches: list[Schema] = []
        for index, alternative in enumerate(alternatives):
            place = (*path, "oneOf", index)
            branch = [self.subschema(alternative, place)]
            for other in overlapping[index]:
                negation = self._logic.negated(alternatives[other], whole=False)
                if negation is None:
                    both = " and ".join(map(str, sorted((index, other))))
                    raise UnusableSchemaError(f'alternatives {both} of "oneOf" may both hold, which is not supported')
                branch.append(self.subschema(negation, place))
            branches.append(branch[0] if len(branch) == 1 else {"allOf": branch})
        return {"anyOf": branches}

    def _overlapping(self, alternatives: list[Any], words: dict[str, Any]) -> list[list[int]]:
        """For each alternative the others that may hold with it, seen with the words beside them."""
        rest = {word: value for word, value in words.items() if word != "oneOf"}
        marks = [self._logic.marks([alternative, rest]) for alternative in alternatives]
        overlapping: list[list[int]] = [[] for _ in alternatives]
        for first, second in combinations(range(len(alternatives)), 2):
            common = marks[first].keys() & marks[second].keys()
            if all(marks[first][name] & marks[second][name] for name in common) and not self._logic.disjoint(
                [alternatives[first], rest], [alternatives[second], rest]
            ):
                overlapping[first].append(second)
                overlapping[second].append(first)
        return overlapping

    def _not(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        return {"allOf": [self.subschema(self._negated(words["not"], "not"), (*path, "not"))]}

    def _negated(self, schema: Any, word: str) -> Schema:
        negation = self._logic.negated(schema, whole=True)
        if negation is None:
            raise UnusableSchemaError(f'"{word}" is not supported for what it says here')
        return negation

    def _conditional(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        if "then" not in words and "else" not in words:
            return {}
        held = [self.subschema(words["if"], (*path, "if")), self.subschema(words.get("then", True), (*path, "then"))]
        failed = [
            self.subschema(self._negated(words["if"], "if"), (*path, "if")),
            self.subschema(words.get("else", True), (*path, "else")),
        ]
        return {"anyOf": [{"allOf": held}, {"allOf": failed}]}

    def _dependent(self, words: dict[str, Any], path: Path) -> dict[str, Any]:
        conditions: list[Schema] = []
        for word in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, demanded in mapping_of(words, word).items():
                schema = {"required": demanded} if isinstance(demanded, list) else demanded
                present = {"allOf": [{"required": [name]}, self.subschema(schema, (*path, word, name))]}
                conditions.append({"anyOf": [present, {"properties": {name: False}}]})
        return {"allOf": conditions}


def _located(
    part: Callable[[dict[str, Any], Path], dict[str, Any]], words: dict[str, Any], path: Path
) -> dict[str, Any]:
    """A part of a subschema; where what is wrong with it has no place yet, that is the subschema's."""
    try:
        return part(words, path)
    except UnusableSchemaError as error:
        if error.path is not None:
            raise
        raise UnusableSchemaError(str(error), path) from error
    except PatternError as error:
        raise UnusableSchemaError(f'the regular expression of "pattern": {error}', path) from error


def _merged(fragments: list[dict[str, Any]]) -> Schema:
    written: dict[str, Any] = {}
    for fragment in fragments:
        for word, value in fragment.items():
            if word == "allOf":
                written.setdefault("allOf", []).extend(value)
            elif word == "anyOf" and "anyOf" in written:
                written.setdefault("allOf", []).append({"anyOf": value})
            else:
                written[word] = value
    return written


def _types(words: dict[str, Any], path: Path) -> dict[str, Any]:
    if "type" not in words:
        return {}
    named = words["type"]
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise UnusableSchemaError(f'"type" must name types of JSON, which {named!r} does not')
    kept = [name for name in dict.fromkeys(names) if name != "integer" or "number" not in names]
    return {"type": kept}


def _values(words: dict[str, Any], path: Path) -> dict[str, Any]:
    if "enum" in words:
        values = {canonical(value): value for value in list_of(words, "enum")}
        if "const" in words:
            values = {canonical(words["const"]): words["const"]} if canonical(words["const"]) in values else {}
    else:
        values = {"": words["const"]}
    possible = [value for value in values.values() if _can_be_asked_for(value)]
    if values and not possible:
        raise UnusableSchemaError(
            "numbers beyond 2^53 and control characters without a short escape cannot be asked for"
        )
    return {"enum": possible}


def _can_be_asked_for(value: Any) -> bool:
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return is_exact(value)
    if isinstance(value, list):
        return all(map(_can_be_asked_for, value))
    if isinstance(value, dict):
        return all(map(_can_be_asked_for, value.values()))
    return True


def _string(words: dict[str, Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in ("minLength", "maxLength"):
        length = count_of(words, word)
        if length is not None:
            found[word] = min(length, _LONGEST_TEXT)
    if "pattern" in words:
        if not isinstance(words["pattern"], str):
            raise UnusableSchemaError('"pattern" must be a string')
        found["pattern"] = translate_pattern(words["pattern"])
    elif not found and words.get("format") in _FORMATS:
        found["format"] = words["format"]
    return found
