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


def volcano_job(job: JobFile, *, queue: str = "", nas_claim: str = "", nas_path: str = "") -> dict[str, Any]:
    """The manifest, as data. ``nas_claim`` is the persistent volume claim mounted at ``nas_path``, if there is one."""
    retries = [kind.code for kind in catalogue() if kind.code >= 200]
    policies: list[dict[str, Any]] = [{"event": "PodEvicted", "action": "RestartJob"}]
    policies += [{"exitCode": code, "action": "RestartJob"} for code in retries]
    spec: dict[str, Any] = {
        "schedulerName": "volcano",
        "minAvailable": sum(task.amount for task in job.tasks),
        "maxRetry": _ATTEMPTS,
        "plugins": {"env": [], "svc": []},
        "policies": policies,
        "tasks": [_task(task) for task in job.tasks],
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


def _task(task: Task) -> dict[str, Any]:
    container: dict[str, Any] = {"name": task.name, "image": task.image}
    if task.command:
        container |= {"command": ["bootstrap", "run", "--"], "args": list(task.command)}
    if task.working_dir:
        container["workingDir"] = task.working_dir
        # what the bootstrap calls the job dir is where the code is: on the NAS there is nothing to fetch
        container["env"] = [{"name": "BOOTSTRAP_JOB_DIR", "value": task.working_dir}]
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
