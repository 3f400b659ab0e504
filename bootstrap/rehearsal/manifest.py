"""A job file as the Volcano ``Job`` (batch.volcano.sh/v1alpha1) that does the same, with the bootstrap as entry point.

The plugins *env* and *svc* tell every container its index and all hosts; the NAS is a claim that Volcano mounts into
all of them; a failure that is worth a retry (our exit codes 2xx) restarts the job, any other fails it once all of its
containers have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import catalogue
from .jobfile import JobFile, Task

_DEVICE = "nvidia.com/gpu"
_ATTEMPTS = 3
BOOTSTRAP = "/opt/bootstrap/bin/bootstrap"
"""Where it is in every image that has the runtime, whatever the image's PATH."""


def volcano_job(
    job: JobFile, *, queue: str = "", nas_claim: str = "", nas_path: str = "", bootstrap: str = BOOTSTRAP
) -> dict[str, Any]:
    """The manifest, as data. ``nas_claim`` is the persistent volume claim mounted at ``nas_path``, if there is one;
    ``bootstrap`` is the program in the images.
    """
    retries = [kind.code for kind in catalogue() if kind.code >= 200]
    policies: list[dict[str, Any]] = [{"event": "PodEvicted", "action": "RestartJob"}]
    policies += [{"exitCode": code, "action": "RestartJob"} for code in retries]
    spec: dict[str, Any] = {
        "schedulerName": "volcano",
        "minAvailable": sum(task.amount for task in job.tasks),
        "maxRetry": _ATTEMPTS,
        "plugins": {"env": [], "svc": []},
        "policies": policies,
        "tasks": [_task(task, bootstrap, log_below(job, task) if nas_claim else "") for task in job.tasks],
    }
    if queue:
        spec["queue"] = queue
    if nas_claim:
        spec["volumes"] = [{"mountPath": nas_path, "volumeClaimName": nas_claim}]
    return {
        "apiVersion": "batch.volcano.sh/v1alpha1",
        "kind": "Job",
        "metadata": {"name": job.name},
        "spec": spec,
    }


def kubernetes_jobs(
    job: JobFile, *, nas_claim: str = "", nas_path: str = "", bootstrap: str = BOOTSTRAP
) -> dict[str, Any]:
    """The same as plain Jobs (batch/v1), one a task, whose ``podFailurePolicy`` knows our exit codes: what is permanent
    (1xx) fails the job at once, an eviction counts for nothing, and what may pass (2xx) is one of the attempts.
    """
    return {
        "apiVersion": "v1",
        "kind": "List",
        "items": [_plain_job(job, task, nas_claim, nas_path, bootstrap) for task in job.tasks],
    }


def _plain_job(job: JobFile, task: Task, nas_claim: str, nas_path: str, bootstrap: str) -> dict[str, Any]:
    template = _task(task, bootstrap, log_below(job, task) if nas_claim else "")["template"]
    container = template["spec"]["containers"][0]
    if nas_claim:
        container["volumeMounts"] = [{"name": "nas", "mountPath": nas_path}]
        template["spec"]["volumes"] = [{"name": "nas", "persistentVolumeClaim": {"claimName": nas_claim}}]
    name = job.name if len(job.tasks) == 1 else f"{job.name}-{task.name}"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "completionMode": "Indexed",
            "completions": task.amount,
            "parallelism": task.amount,
            "backoffLimit": _ATTEMPTS,
            "podFailurePolicy": pod_failure_policy(task.name),
            "template": template,
        },
    }


def pod_failure_policy(container: str) -> dict[str, Any]:
    """Kubernetes' ``podFailurePolicy`` for our exit codes, but those that shells give to commands of their own, too."""
    permanent = [kind.code for kind in catalogue() if 100 <= kind.code < 126]
    passing = [kind.code for kind in catalogue() if kind.code >= 200]

    def on(action: str, codes: list[int]) -> dict[str, Any]:
        codes_in = {"containerName": container, "operator": "In", "values": codes}
        return {"action": action, "onExitCodes": codes_in}

    evicted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    return {"rules": [on("FailJob", permanent), evicted, on("Count", passing)]}


def log_below(job: JobFile, task: Task) -> str:
    """Where the log of a task goes on the NAS: below the job's own directory, as the manager's guide promises."""
    return f"{task.working_dir.rstrip('/')}/logs/{job.name}/" if task.working_dir else ""


def _task(task: Task, bootstrap: str, log: str) -> dict[str, Any]:
    container: dict[str, Any] = {"name": task.name, "image": task.image}
    if task.command:
        container |= {"command": [bootstrap, "run", "--"], "args": list(task.command)}
    if task.working_dir:
        container["workingDir"] = task.working_dir
        # what the bootstrap calls the job dir is where the code is: on the NAS there is nothing to fetch
        container["env"] = [{"name": "BOOTSTRAP_JOB_DIR", "value": task.working_dir}]
    if log:
        container["env"].append({"name": "BOOTSTRAP_LOG", "value": log})
    if task.resources:
        container["resources"] = {"limits": _limits(task.resources)}
    if task.ports:
        container["ports"] = [{"name": name, "containerPort": number} for name, number in task.ports]
    return {
        "name": task.name,
        "replicas": task.amount,
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    }


def _limits(resources: Mapping[str, str]) -> dict[str, str]:
    return {_DEVICE if name == "gpu" else name: amount for name, amount in resources.items()}
