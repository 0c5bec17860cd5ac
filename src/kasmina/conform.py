"""Does a plain value have the type that a signature or a dataclass asks for?

Every fault is one sentence that begins with the key: what came, what is possible. What cannot be
judged passes: a wrong alarm would forbid a config that works.
"""

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from kasmina.recipe import TARGET
from kasmina.schema import Given, Target
from kasmina.signatures import Signature, find
from kasmina.suggest import nearest, unknown

MISSING = "???"
"""How a yaml file says that a value has to be given."""

_HYDRAS = {"_partial_", "_args_", "_recursive_", "_convert_"}
_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    float: (float, int),
    str: (str,),
    types.NoneType: (types.NoneType,),
}
_PLAIN = {bool, int, float, str}
_WORDS: dict[Any, str] = {
    Target: f"a mapping with {TARGET}",
    types.NoneType: "null",
    bool: "true, false",
    int: "a whole number",
    float: "a number",
    str: "text",
    **dict.fromkeys((list, tuple, set, Sequence, Iterable), "a list"),
    **dict.fromkeys((dict, Mapping), "a mapping"),
}
_NONE_GIVEN = Given()


def faults(value: Any, hint: Any, path: str, given: Given = _NONE_GIVEN) -> Iterator[str]:
    """Everything that keeps ``value`` from being a ``hint``.

    Args:
        value: a plain value: scalars, lists and mappings.
        hint: a type as annotations write it.
        path: the key, for the message.
        given: arguments that the program passes, where ``hint`` is a target.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        extra = next((each for each in arguments[1:] if isinstance(each, Given)), given)
        yield from faults(value, arguments[0], path, extra)
    elif value == MISSING:
        yield f"{path}: needs a value"
    elif origin in (Union, types.UnionType):
        yield from _union_faults(value, arguments, path)
    elif origin is Literal:
        yield from _choice_faults(value, arguments, path)
    else:
        yield from _one_type_faults(value, hint, path, given)


def _one_type_faults(value: Any, hint: Any, path: str, given: Given) -> Iterator[str]:
    if isinstance(value, Mapping) and TARGET in value:
        yield from _target_faults(value, path, given)
    elif isinstance(value, Mapping) and is_dataclass(hint):
        yield from _fields_faults(value, hint, path)
    elif isinstance(value, Mapping):
        yield from _mapping_faults(value, hint, path)
    elif isinstance(value, list):
        yield from _list_faults(value, hint, path)
    elif not _is_scalar_of(value, hint):
        yield _wrong(value, _alternatives([hint]), path)


def _is_scalar_of(value: Any, hint: Any) -> bool:
    origin = get_origin(hint) or hint
    if origin in _SCALARS:
        as_number = isinstance(value, bool) and origin is not bool  # True is an int to Python
        return isinstance(value, _SCALARS[origin]) and not as_number
    return not (_is_built(origin) or is_dataclass(origin) or _is_container(origin))


def _is_built(origin: Any) -> bool:
    """Whether only a mapping with ``_target_`` makes one: of other packages nobody knows."""
    ours = isinstance(origin, type) and origin.__module__.startswith("kasmina.")
    return origin is Target or (ours and not is_dataclass(origin))


def _is_container(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping | list | tuple | set)


def _target_faults(value: Mapping[str, Any], path: str, given: Given) -> Iterator[str]:
    for key in sorted(_HYDRAS & set(value)):
        yield f"{path}.{key}: Hydra's instantiate is not used here, so this key has no meaning"
    try:
        signature = Signature.of(find(str(value[TARGET])))
    except ImportError as error:
        yield f"{path}.{TARGET}: {error}"
        return
    options = {key: each for key, each in value.items() if key not in {TARGET, *_HYDRAS}}
    for key, each in options.items():
        where = f"{path}.{key}"
        if key in given.names:
            yield f"{where}: is passed by the program and stands in no config"
        elif key in signature.hints:
            yield from faults(each, signature.hints[key], where)
        elif signature.open:
            yield from faults(each, Any, where)
        else:
            yield f"{where}: {unknown('key', key, signature.hints.keys() - given.names)}"
    for key in sorted(signature.required - given.names - options.keys()):
        yield f"{path}.{key}: {value[TARGET]} needs it, and nothing came"


def _union_faults(value: Any, arms: Sequence[Any], path: str) -> Iterator[str]:
    if not isinstance(value, Mapping | list) and _PLAIN & set(arms):
        # plain values are foreseen and named: no other class takes one
        arms = [arm for arm in arms if arm in _SCALARS or not isinstance(arm, type)]
    per_arm = [list(faults(value, arm, path)) for arm in arms]
    if all(per_arm):
        deeper = [found for found in per_arm if not found[0].startswith(f"{path}: ")]
        yield from deeper[0] if deeper else [_wrong(value, _alternatives(arms), path)]


def _choice_faults(value: Any, choices: Sequence[Any], path: str) -> Iterator[str]:
    if not any(value == each and type(value) is type(each) for each in choices):
        yield _wrong(value, [str(each) for each in choices], path)


def _wrong(value: Any, possible: list[str], path: str) -> str:
    near = nearest(value, possible) if isinstance(value, str) else None
    hint = f" did you mean {near!r}?" if near else ""
    return f"{path}: {_came(value)};{hint} possible: {', '.join(possible)}"


def _fields_faults(value: Mapping[str, Any], schema: Any, path: str) -> Iterator[str]:
    hints = get_type_hints(schema, include_extras=True)
    for key, each in value.items():
        where = join(path, key)
        if key in hints:
            yield from faults(each, hints[key], where)
        else:
            yield f"{where}: {unknown('key', key, hints)}"
    for key in hints.keys() - value.keys():
        yield f"{join(path, key)}: needs a value, and nothing came"


def _mapping_faults(value: Mapping[str, Any], hint: Any, path: str) -> Iterator[str]:
    if _is_built(hint):
        yield f"{path}: needs a {TARGET}"
        return
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in _SCALARS or origin in (list, tuple, set):
        yield _wrong(value, _alternatives([hint]), path)
        return
    inner = arguments[1] if len(arguments) == 2 else Any
    for key, each in value.items():
        yield from faults(each, inner, join(path, str(key)))


def _list_faults(value: list[Any], hint: Any, path: str) -> Iterator[str]:
    origin, arguments = get_origin(hint) or hint, get_args(hint)
    if origin in _SCALARS or origin in (dict, Mapping) or _is_built(hint) or is_dataclass(hint):
        yield _wrong(value, _alternatives([hint]), path)
        return
    if origin is tuple and arguments and arguments[-1] is not ...:
        if len(arguments) != len(value):
            yield f"{path}: {len(value)} values came; possible: {len(arguments)} values"
            return
        inners = list(arguments)
    else:
        inners = [arguments[0] if arguments else Any] * len(value)
    for index, (each, inner) in enumerate(zip(value, inners, strict=True)):
        yield from faults(each, inner, f"{path}[{index}]")


def join(path: str, key: str) -> str:
    """The path of a key of the mapping at ``path``."""
    return f"{path}.{key}" if path else key


def _came(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} came"
    return "null came" if value is None else f"{value!r} came"


def _alternatives(hints: Sequence[Any]) -> list[str]:
    """What may stand there, in words, each once."""
    words: dict[str, None] = {}
    for hint in hints:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            words |= dict.fromkeys(_alternatives(arguments))
        elif origin is Annotated:
            words |= dict.fromkeys(_alternatives(arguments[:1]))
        elif origin is Literal:
            words |= dict.fromkeys(map(str, arguments))
        else:
            known = _WORDS[Target] if _is_built(hint) else _WORDS.get(origin or hint)
            word = known or getattr(hint, "__name__", None) or str(hint)
            words[str(word)] = None
    return list(words)
