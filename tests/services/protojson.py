"""Reads JSON request bodies by proto3 rules: camelCase or snake_case names, unknown names refused, null means absent,
numbers as strings.

A schema maps camelCase names to a type: "string", "bool", "int32", "bytes", "duration", "map" (string to string), "any"
(kept as it is), a nested schema (dict), or a one-element list for a repeated field.
"""

import base64
import binascii
import json
import re

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")


class InvalidJson(Exception):
    """The body does not follow the schema; the text is what Google's front end would say, more or less."""


def parse(body, schema):
    """The body as a dict with camelCase names and absent fields left out."""
    try:
        value = json.loads(body.decode("utf-8") or "{}", parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidJson("Invalid JSON payload received. Malformed UTF-8.") from None
    except (ValueError, RecursionError):
        raise InvalidJson("Invalid JSON payload received. Unexpected token.") from None
    return _message(value, schema, "")


def seconds(duration):
    """A duration such as "600.5s" in seconds."""
    return float(duration[:-1])


def _refuse_constant(name):
    raise ValueError(name)


def _message(value, schema, where):
    if not isinstance(value, dict):
        raise InvalidJson(f"Invalid value at '{where or 'request'}', expected an object.")
    result = {}
    for key, item in value.items():
        name = camel(key)
        if name not in schema:
            place = f" at '{where}'" if where else ""
            raise InvalidJson(f'Invalid JSON payload received. Unknown name "{key}"{place}: Cannot find field.')
        if item is not None:
            result[name] = _value(item, schema[name], f"{where}.{key}" if where else key)
    return result


def _value(value, kind, where):
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise InvalidJson(f"Invalid value at '{where}', expected a list.")
        return [_value(item, kind[0], f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(kind, dict):
        return _message(value, kind, where)
    return _SCALARS[kind](value, where)


def _string(value, where):
    if not isinstance(value, str):
        raise InvalidJson(f"Invalid value at '{where}' (TYPE_STRING), {json.dumps(value)[:80]}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidJson(f"Invalid value at '{where}' (TYPE_STRING), lone surrogate") from None
    return value


def _bool(value, where):
    if not isinstance(value, bool):
        raise InvalidJson(f"Invalid value at '{where}' (TYPE_BOOL), {json.dumps(value)[:80]}")
    return value


def _int32(value, where):
    try:
        if isinstance(value, (bool, list, dict)) or int(value) != float(value) or not -(2**31) <= int(value) < 2**31:
            raise ValueError
        return int(value)
    except (ValueError, OverflowError):
        raise InvalidJson(f"Invalid value at '{where}' (TYPE_INT32), {json.dumps(value)[:80]}") from None


def _bytes(value, where):
    """Base64 of either alphabet, padded or not; returned in the standard alphabet with padding."""
    text = _string(value, where)
    bare = text.rstrip("=")
    if not _BASE64.fullmatch(text) or len(bare) % 4 == 1 or len(text) != len(bare) and len(text) % 4:
        raise InvalidJson(f"Invalid value at '{where}' (TYPE_BYTES), Base64 decoding failed for \"{text[:40]}\"")
    try:
        data = base64.b64decode(bare.replace("-", "+").replace("_", "/") + "=" * (-len(bare) % 4))
    except binascii.Error:
        raise InvalidJson(
            f"Invalid value at '{where}' (TYPE_BYTES), Base64 decoding failed for \"{text[:40]}\""
        ) from None
    return base64.b64encode(data).decode()


def _duration(value, where):
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise InvalidJson(
            f"Invalid value at '{where}' (type.googleapis.com/google.protobuf.Duration), {json.dumps(value)[:80]}"
        )
    return value


def _map(value, where):
    if not isinstance(value, dict):
        raise InvalidJson(f"Invalid value at '{where}', expected a map.")
    return {_string(key, where): _string(item, f"{where}[{key!r}]") for key, item in value.items()}


def _any(value, _where):
    return value


def camel(name):
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


_SCALARS = {
    "string": _string,
    "bool": _bool,
    "int32": _int32,
    "bytes": _bytes,
    "duration": _duration,
    "map": _map,
    "any": _any,
}
