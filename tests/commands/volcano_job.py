"""What Volcano's definition of a Job (jobs.batch.volcano.sh) says of the fields that we write, in our words.

Narrower than the original where its admission webhook refuses more (events and actions of its own, an event together
with an exit code). The original is checked against too, and against this, where ``BOOTSTRAP_TEST_VOLCANO_CRD`` names a
file that holds it: ``kubectl get crd jobs.batch.volcano.sh -o yaml``, or config/crd/volcano/bases of Volcano's sources.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import yaml

EVENTS = ["*", "PodPending", "PodFailed", "PodEvicted", "Unknown", "TaskCompleted", "TaskFailed", "JobUpdated"]
ACTIONS = ["AbortJob", "RestartJob", "RestartTask", "RestartPod", "TerminateJob", "CompleteJob", "ResumeJob"]
LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
TEXT: dict[str, Any] = {"type": "string"}
COUNT: dict[str, Any] = {"type": "integer", "format": "int32", "minimum": 0}
QUANTITY = {
    "x-kubernetes-int-or-string": True,
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+))?$",
}


def fields(*required: str, **properties: object) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties}


def many(items: object) -> dict[str, Any]:
    return {"type": "array", "items": items}


CONTAINER = fields(
    "name",
    name=TEXT,
    image=TEXT,
    command=many(TEXT),
    args=many(TEXT),
    workingDir=TEXT,
    env=many(fields("name", name=TEXT, value=TEXT)),
    resources=fields(limits={"type": "object", "additionalProperties": QUANTITY}),
    ports=many(fields("containerPort", name=TEXT, containerPort={"type": "integer", "format": "int32"})),
)
POLICY = {
    **fields(
        "action", event={**TEXT, "enum": EVENTS}, action={**TEXT, "enum": ACTIONS}, exitCode={**COUNT, "minimum": 1}
    ),
    "oneOf": [{"required": ["event"]}, {"required": ["exitCode"]}],
}
POD = fields("spec", spec=fields("containers", restartPolicy=TEXT, containers=many(CONTAINER)))
TASK = fields(
    "name", "replicas", "template", name={**TEXT, "pattern": LABEL, "maxLength": 63}, replicas=COUNT, template=POD
)
SPEC = fields(
    "tasks",
    schedulerName={**TEXT, "maxLength": 63},
    minAvailable=COUNT,
    maxRetry=COUNT,
    queue={**TEXT, "pattern": SUBDOMAIN, "maxLength": 253},
    plugins={"type": "object", "additionalProperties": many(TEXT)},
    policies=many(POLICY),
    volumes=many(fields("mountPath", mountPath={**TEXT, "pattern": "^[^:]+$"}, volumeClaimName=TEXT)),
    tasks=many(TASK),
)
OURS = {
    "spec": {
        "group": "batch.volcano.sh",
        "names": {"kind": "Job"},
        "versions": [{"name": "v1alpha1", "served": True, "schema": {"openAPIV3Schema": fields("spec", spec=SPEC)}}],
    }
}


@functools.cache
def definitions() -> dict[str, dict[str, Any]]:
    """Ours, and the published one where this machine has it."""
    found = {"in our words": OURS}
    if path := os.environ.get("BOOTSTRAP_TEST_VOLCANO_CRD"):
        found["as published"] = yaml.safe_load(Path(path).read_text())
    return found
