"""Variables of strangers' jobs that Kubernetes leaks into a ModelArts v1 container, and which of them to remove.

Kubernetes tells every container of a namespace about every service in it, so a v1 container sees the ports of other
people's jobs. The old image removed them (``unset_job_env_except_self`` in its utils.sh): names such as
``JOBA1B_20190101_WORKER_SERVICE_HOST`` unless they start with this job's own id, and everything ``KUBERNETES_``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..ground.patterns import pattern

_JOB_VARIABLE = pattern(r"[A-Z0-9]{6}_[0-9]{8}_")
_SERVICE_ACCOUNT = "var/run/secrets/kubernetes.io/serviceaccount/token"


def to_remove(environ: Mapping[str, str], job_id: str, node_count: int, root: Path) -> tuple[tuple[str, ...], str]:
    """The names to remove from the command's environment, and a note when some are kept on purpose.

    - ``XXXXXX_NNNNNNNN_...``: removed unless it starts with the job id, upper-cased, ``-`` written ``_``. Without a
      job id nothing tells ours from a stranger's, so all are kept. (Public copies of the old script removed all of
      them then, this job's own too.)
    - ``KUBERNETES_...``: removed, except in a job of several nodes whose pod has a service account token: there Open
      MPI reaches the other nodes through ``kubectl exec``, and kubectl finds the API server by these variables. The
      old script removed them even then, which broke kubectl.
    """
    own = job_id.upper().replace("-", "_")
    remove = [name for name in environ if own and _JOB_VARIABLE.match(name) and not name.startswith(own)]
    kubernetes = [name for name in environ if name.startswith("KUBERNETES_") and not (own and name.startswith(own))]
    if kubernetes and node_count > 1 and (root / _SERVICE_ACCOUNT).is_file():
        return tuple(sorted(remove)), "KUBERNETES_* is kept: an MPI agent may need it for kubectl exec"
    return tuple(sorted(remove + kubernetes)), ""
