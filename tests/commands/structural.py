"""A custom resource checked against its definition as Kubernetes would, and more strictly: no unknown fields.

Kubernetes drops a field that its schema does not know without a word; to us it is a misspelling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema

_KEPT = "x-kubernetes-preserve-unknown-fields"
_BOUNDS = {"int32": 2**31, "int64": 2**63}


def problems(resource: Mapping[str, Any], definition: Mapping[str, Any]) -> list[str]:
    """What is wrong with ``resource``, each with its place; nothing if ``definition`` (a CustomResourceDefinition)
    takes it.
    """
    version = str(resource["apiVersion"]).rpartition("/")[2]
    spec = definition["spec"]
    assert (spec["names"]["kind"], f"{spec['group']}/{version}") == (resource["kind"], resource["apiVersion"])
    served = next(one for one in spec["versions"] if one["name"] == version and one["served"])
    schema = _strict(served["schema"]["openAPIV3Schema"])
    # what every resource has is not told in a definition
    schema["properties"] |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "required": ["name"]},
    }
    found = jsonschema.Draft202012Validator(schema).iter_errors(resource)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A structural schema as JSON Schema. A number or text ("8080", 8080) has no type there, but is one of both."""
    made = dict(schema)
    if made.get("type") == "object" and "additionalProperties" not in made and not made.get(_KEPT):
        made["additionalProperties"] = False
    if "properties" in made:
        made["properties"] = {key: _strict(value) for key, value in made["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(made.get(name), Mapping):
            made[name] = _strict(made[name])
    if made.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if bound := _BOUNDS.get(made.get("format", "")):
        made = {"minimum": -bound, "maximum": bound - 1, **made}
    if made.get("nullable"):
        made["type"] = [made["type"], "null"]
    return made


def strangers(ours: Mapping[str, Any], published: Mapping[str, Any], place: str = "") -> list[str]:
    """Fields of ``ours`` that ``published`` does not have, or has with another type: both structural schemas."""
    kinds = [schema.get("type", "number or text") for schema in (ours, published)]
    if kinds[0] != kinds[1]:
        return [f"{place} is {kinds[1]}, and not {kinds[0]}"]
    found = []
    for name, schema in ours.get("properties", {}).items():
        there = published.get("properties", {}).get(name)
        found += strangers(schema, there, f"{place}.{name}") if there else [f"{place}.{name} is not there"]
    for part in ("items", "additionalProperties"):
        if part in ours:
            found += strangers(ours[part], published.get(part, {}), f"{place}.{part}")
    return found
