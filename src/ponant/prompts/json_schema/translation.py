"""Translation of a JSON schema to one that llguidance enforces exactly.

llguidance accepts most keywords of draft 2020-12, but enforces some of them, and of older drafts, only approximately or
under conditions. The translated schema has only keywords that it enforces. It allows the same documents or fewer:

* strings are written with JSON's short escapes, so that a property has only one name,
* bounds of numbers and regular expressions are restricted as in ``numbers`` and ``patterns``,
* properties have the order of the schema, as llguidance requires.

Schemas that cannot be translated are refused, with the part at fault.
"""

from collections.abc import Callable
from itertools import combinations
from typing import Any

from ponant.prompts.json_schema.arrays import array_keywords
from ponant.prompts.json_schema.document import Document, Path, UnsupportedKeywordError, UnusableSchemaError
from ponant.prompts.json_schema.evaluation import Evaluation
from ponant.prompts.json_schema.keywords import count_of, list_of, mapping_of
from ponant.prompts.json_schema.logic import INTEGER, Logic, Schema
from ponant.prompts.json_schema.numbers import bounds, can_combine, divisor, fractions, is_exact
from ponant.prompts.json_schema.objects import object_keywords
from ponant.prompts.json_schema.patterns import translate_patterns, writable
from ponant.prompts.json_schema.scanner import PatternError
from ponant.prompts.json_schema.values import TYPES, canonical

_Part = Callable[[dict[str, Any], Path], dict[str, Any]]
"""Function that translates some keywords of a subschema at a path."""

_MOST_SUBSCHEMAS = 20_000
_FRACTIONS = "not-integer"
"""Name of the definition of all values except integers."""
_MOST_EVALUATED = 1_000
"""Number of values that are evaluated one by one."""
_TYPES = frozenset(["null", "boolean", "number", "integer", "string", "array", "object"])
_FORMATS = frozenset(["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"])
"""Formats that llguidance enforces. They are annotations, used only if nothing else restricts a string."""
_LONGEST_TEXT = 2**31 - 1
_ELSEWHERE = {"properties", "patternProperties", "additionalProperties", "unevaluatedProperties"}
_ELSEWHERE |= {"items", "prefixItems", "additionalItems", "unevaluatedItems"}
"""Keywords whose schemas apply to parts of the value."""
_COMBINING = frozenset(("$ref", "allOf", "anyOf", "oneOf", "not", "if", "dependentSchemas", "dependencies"))
_REFUSED = ("$dynamicRef", "$recursiveRef")

_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_STRINGS = ("minLength", "maxLength", "pattern", "format")
_ARRAYS = ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains")
_OBJECTS = ("properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties")


def translate(schema: dict[str, Any], part: Path = (), *, left_out: dict[Path, None] | None = None) -> dict[str, Any]:
    """Translate a schema to one that llguidance enforces exactly, and that allows nothing else.

    Args:
        schema: the whole schema.
        part: path of the part to translate; by default the whole schema.
        left_out: takes the paths of keywords that cannot be enforced, which are then left out of the translation. By
            default such a keyword is an error.

    Raises:
        UnusableSchemaError: the schema cannot be translated.
    """
    return _Translation(schema, part, left_out).translated()


class _Translation:
    """Translation of one schema."""

    def __init__(self, root: dict[str, Any], part: Path, left_out: dict[Path, None] | None) -> None:
        self._document = Document(root)
        self._wanted = part
        self._left_out = left_out
        self._logic = Logic(self._document)
        self._evaluation = Evaluation(self._document)
        self._definitions: dict[str, Schema] = {}
        self._names: dict[Path, str] = {}
        self._pending: list[tuple[str, Any, Path]] = []
        self._definition = part
        self._same: dict[Path, list[Path]] = {}
        self._left = _MOST_SUBSCHEMAS
        self._divisors: set[float] = set()
        self._combines = False
        self._parts: tuple[tuple[tuple[str, ...], _Part], ...] = (
            (("type",), _types),
            (("enum", "const"), _values),
            (_NUMBERS, self._number),
            (_STRINGS, _string),
            ((*_ARRAYS, "unevaluatedItems"), self._array),
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
        """Return the translated schema, with the definitions that it refers to."""
        written = self.subschema(self._document.part(self._wanted), self._wanted)
        root: dict[str, Any] = written if isinstance(written, dict) else {"anyOf": [written]}
        definitions = self._definitions
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
        """Translate one part of the schema."""
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise UnusableSchemaError("a schema must be an object or a boolean", path)
        self._left -= 1
        if self._left < 0:
            raise UnusableSchemaError(
                f"it has more than {_MOST_SUBSCHEMAS} parts when its alternatives are written out", ()
            )
        keywords = self._document.keywords(schema)
        for keyword in _REFUSED:
            if keyword in keywords:
                error = UnsupportedKeywordError(f'"{keyword}" is not supported', keyword, path=path)
                keywords = self._without(keywords, error, path)
        if (values := self._values_only(keywords)) is not None:
            return {"enum": values}
        self._combines = self._combines or not _COMBINING.isdisjoint(keywords)
        fragments = []
        order = {keyword: place for place, keyword in enumerate(keywords)}
        for named, part in self._parts:
            places = [order[keyword] for keyword in named if keyword in order]
            if places:
                fragments.append((min(places), self._fragment(named, part, keywords, path)))
        fragments.sort(key=lambda fragment: fragment[0])
        return _merged([fragment for _, fragment in fragments])

    def _values_only(self, keywords: dict[str, Any]) -> list[Any] | None:
        """Return the values of ``enum`` or ``const`` that satisfy all keywords; None if that is not known."""
        if len(keywords) < 2 or not ("const" in keywords or isinstance(keywords.get("enum"), list)):
            return None
        values = [keywords["const"]] if "const" in keywords else keywords["enum"]
        verdicts = [self._evaluation.holds(keywords, value) for value in values[:_MOST_EVALUATED]]
        if None in verdicts or True not in verdicts or len(values) > _MOST_EVALUATED:
            return None
        held = [value for value, verdict in zip(values, verdicts, strict=True) if verdict]
        possible = [value for value in {canonical(value): value for value in held}.values() if _can_be_asked_for(value)]
        return possible or None

    def _fragment(self, named: tuple[str, ...], part: _Part, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        """Translate the named keywords of a subschema, without those that may be left out."""
        while not keywords.keys().isdisjoint(named):
            try:
                return _located(part, keywords, path)
            except UnsupportedKeywordError as error:
                keywords = self._without(keywords, error, path)
        return {}

    def _without(self, keywords: dict[str, Any], error: UnsupportedKeywordError, path: Path) -> dict[str, Any]:
        """Return keywords without those that cannot be enforced. Raises the error if they may not be left out."""
        kept = {keyword: value for keyword, value in keywords.items() if keyword not in error.keywords}
        if self._left_out is None or len(kept) == len(keywords):
            raise error
        self._left_out |= dict.fromkeys((*path, keyword) for keyword in keywords if keyword not in kept)
        return kept

    def _number(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        types = _types(keywords, path).get("type", ["number"])
        factor = divisor(keywords)
        self._divisors |= set(factor.values())
        return bounds(keywords, integers="number" not in types) | factor

    def _array(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        return array_keywords(keywords, path, self.subschema, self._evaluation)

    def _object(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        return object_keywords(keywords, path, self.subschema, self._document)

    def _reference(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        target, place = self._document.resolve(keywords["$ref"])
        if _ELSEWHERE.isdisjoint(path[len(self._definition) :]):
            self._same.setdefault(self._definition, []).append(place)
        if place == self._wanted:
            return {"$ref": "#"}
        if place not in self._names:
            self._names[place] = str(len(self._names))
            self._pending.append((self._names[place], target, place))
        return {"$ref": f"#/$defs/{self._names[place]}"}

    def _refuse_circles(self) -> None:
        """Refuse references that lead back to themselves without passing an item or a property."""
        for start in self._same:
            todo, seen = [start], set[Path]()
            while todo:
                for place in self._same.get(todo.pop(), ()):
                    if place == start:
                        raise UnusableSchemaError('"$ref" leads back to itself', start)
                    if place not in seen:
                        seen.add(place)
                        todo.append(place)

    def _all_of(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        return {"allOf": self._each(keywords, "allOf", path)}

    def _any_of(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        return {"anyOf": self._each(keywords, "anyOf", path)}

    def _each(self, keywords: dict[str, Any], keyword: str, path: Path) -> list[Schema]:
        return [self.subschema(part, (*path, keyword, index)) for index, part in enumerate(list_of(keywords, keyword))]

    def _one_of(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        """Translate ``oneOf`` to alternatives that exclude each other, adding negations where they overlap."""
        alternatives = list_of(keywords, "oneOf")
        rest = {keyword: value for keyword, value in keywords.items() if keyword != "oneOf"}
        overlapping = self._overlapping(alternatives, rest)
        branches: list[Schema] = []
        for index, alternative in enumerate(alternatives):
            place = (*path, "oneOf", index)
            branch = [self.subschema(alternative, place)]
            for other in overlapping[index]:
                negation = self._logic.negated(alternatives[other], whole=False)
                if negation is None:
                    both = " and ".join(map(str, sorted((index, other))))
                    reason = f'alternatives {both} of "oneOf" may both hold, which is not supported'
                    self._without(keywords, UnsupportedKeywordError(reason, "oneOf", path=path), path)
                    continue
                branch.append(self.subschema(self._logic.without_fractions(negation, [alternative, rest]), place))
            branches.append(branch[0] if len(branch) == 1 else {"allOf": branch})
        return {"anyOf": branches}

    def _overlapping(self, alternatives: list[Any], rest: dict[str, Any]) -> list[list[int]]:
        """Return for each alternative the others that may hold at the same time, given the adjacent keywords."""
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

    def _not(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        if keywords["not"] == INTEGER:
            return self._not_integer()
        return {"allOf": [self.subschema(self._negated(keywords["not"], "not"), (*path, "not"))]}

    def _not_integer(self) -> dict[str, Any]:
        """Return the definition of all values except integers."""
        if _FRACTIONS not in self._definitions:
            others: list[Schema] = [{"type": [name for name in TYPES if name != "number"]}]
            self._definitions[_FRACTIONS] = {"anyOf": others + list(fractions(self._document.numbers()))}
        return {"allOf": [{"$ref": f"#/$defs/{_FRACTIONS}"}]}

    def _negated(self, schema: Any, keyword: str) -> Schema:
        negation = self._logic.negated(schema, whole=True)
        if negation is None:
            reason = f'"{keyword}" is not supported for this schema'
            raise UnsupportedKeywordError(reason, *((keyword, "then", "else") if keyword == "if" else (keyword,)))
        return negation

    def _conditional(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        if "then" not in keywords and "else" not in keywords:
            return {}
        held = [
            self.subschema(keywords["if"], (*path, "if")),
            self.subschema(keywords.get("then", True), (*path, "then")),
        ]
        failed = [
            self.subschema(self._negated(keywords["if"], "if"), (*path, "if")),
            self.subschema(keywords.get("else", True), (*path, "else")),
        ]
        return {"anyOf": [{"allOf": held}, {"allOf": failed}]}

    def _dependent(self, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
        conditions: list[Schema] = []
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, demanded in mapping_of(keywords, keyword).items():
                schema = {"required": demanded} if isinstance(demanded, list) else demanded
                present = {"allOf": [{"required": [name]}, self.subschema(schema, (*path, keyword, name))]}
                conditions.append({"anyOf": [present, {"properties": {name: False}}]})
        return {"allOf": conditions}


def _located(part: _Part, keywords: dict[str, Any], path: Path) -> dict[str, Any]:
    """Translate a part of a subschema, and give errors without a path the subschema's."""
    try:
        return part(keywords, path)
    except UnusableSchemaError as error:
        error.path = path if error.path is None else error.path
        raise
    except PatternError as error:
        reason = f'the regular expression of "pattern": {error}'
        if error.invalid:
            raise UnusableSchemaError(reason, path) from error
        raise UnsupportedKeywordError(reason, "pattern", path=path) from error


def _merged(fragments: list[dict[str, Any]]) -> Schema:
    written: dict[str, Any] = {}
    for fragment in fragments:
        for keyword, value in fragment.items():
            if keyword == "allOf":
                written.setdefault("allOf", []).extend(value)
            elif keyword == "anyOf" and "anyOf" in written:
                written.setdefault("allOf", []).append({"anyOf": value})
            else:
                written[keyword] = value
    return written


def _types(keywords: dict[str, Any], path: Path) -> dict[str, Any]:
    if "type" not in keywords:
        return {}
    named = keywords["type"]
    names = [named] if isinstance(named, str) else named
    if not isinstance(names, list) or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise UnusableSchemaError(f'"type" must name JSON types, not {named!r}')
    kept = [name for name in dict.fromkeys(names) if name != "integer" or "number" not in names]
    return {"type": kept}


def _values(keywords: dict[str, Any], path: Path) -> dict[str, Any]:
    if "enum" in keywords:
        values = {canonical(value): value for value in list_of(keywords, "enum")}
        if "const" in keywords:
            values = {canonical(keywords["const"]): keywords["const"]} if canonical(keywords["const"]) in values else {}
    else:
        values = {"": keywords["const"]}
    possible = [value for value in values.values() if _can_be_asked_for(value)]
    if values and not possible:
        raise UnusableSchemaError("numbers beyond 2^53 and control characters without a short escape are not supported")
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


def _string(keywords: dict[str, Any], path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in ("minLength", "maxLength"):
        length = count_of(keywords, keyword)
        if length is not None:
            found[keyword] = min(length, _LONGEST_TEXT)
    if "pattern" in keywords:
        if not isinstance(keywords["pattern"], str):
            raise UnusableSchemaError('"pattern" must be a string')
        found["pattern"], *others = translate_patterns(keywords["pattern"])
        if others:
            found["allOf"] = [{"pattern": other} for other in others]
    elif not found and keywords.get("format") in _FORMATS:
        found["format"] = keywords["format"]
    return found
