"""What Volcano's published schema of a Job (batch.volcano.sh/v1alpha1) says of the fields that we write.

Stricter than the original where a misspelt field would only be dropped there: no other fields are allowed.
"""

EVENTS = ["*", "PodPending", "PodRunning", "PodFailed", "PodEvicted", "Unknown", "TaskCompleted", "TaskFailed"]
ACTIONS = ["AbortJob", "RestartJob", "RestartTask", "RestartPod", "TerminateJob", "CompleteJob", "ResumeJob"]
INT32 = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
LABEL = {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}


def fields(required: list[str], **properties: object) -> dict[str, object]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def many(items: object) -> dict[str, object]:
    return {"type": "array", "items": items}


TEXT = {"type": "string"}
TEXTS = many(TEXT)
QUANTITY = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?([numkMGTPE]|[KMGTPE]i)?$"}
CONTAINER = fields(
    ["name", "image"],
    name=LABEL,
    image=TEXT,
    command=TEXTS,
    args=TEXTS,
    workingDir=TEXT,
    env=many(fields(["name"], name=TEXT, value=TEXT)),
    resources=fields([], limits={"type": "object", "additionalProperties": QUANTITY}),
    ports=many(fields(["containerPort"], name=TEXT, containerPort=INT32)),
)
POLICY = {
    **fields([], event={"enum": EVENTS}, action={"enum": ACTIONS}, exitCode=INT32),
    "oneOf": [{"required": ["event"]}, {"required": ["exitCode"]}],
}
POD = fields(["spec"], spec=fields(["containers"], restartPolicy=TEXT, containers=many(CONTAINER)))
JOB = fields(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "batch.volcano.sh/v1alpha1"},
    kind={"const": "Job"},
    metadata=fields(["name"], name=LABEL),
    spec=fields(
        ["tasks"],
        schedulerName=TEXT,
        minAvailable=INT32,
        maxRetry=INT32,
        queue=TEXT,
        plugins={"type": "object", "additionalProperties": TEXTS},
        policies=many(POLICY),
        volumes=many(fields(["mountPath"], mountPath=TEXT, volumeClaimName=TEXT)),
        tasks=many(fields([], name=LABEL, replicas=INT32, template=POD)),
    ),
)
