"""What each platform tells the containers of a job of several nodes (two if not said), and what it calls them."""

from __future__ import annotations


def dls(node: int, count: int = 2) -> dict[str, str]:
    return {
        "HOSTNAME": f"job-custom{node}-0",
        "DLS_TASK_INDEX": str(node),
        "DLS_TASK_NUMBER": str(count),
        "DLS_JOB_ID": "jobab12cd34",
        **{f"BATCH_CUSTOM{other}_HOSTS": f"job-custom{other}-0:{6100 + other}" for other in range(count)},
        "BATCH_CURRENT_HOST": f"job-custom{node}-0:{6100 + node}",
        "BATCH_CURRENT_PORT": str(6100 + node),
    }


def modelarts(node: int, count: int = 2) -> dict[str, str]:
    return {
        "HOSTNAME": f"ma-job-7-worker-{node}",
        "MA_VJ_NAME": "ma-job-7",
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": str(count),
        "VC_TASK_INDEX": str(node),
        "VC_WORKER_HOSTS": ",".join(f"ma-job-7-worker-{other}.ma-job-7" for other in range(count)),
    }


def volcano(node: int, count: int = 2) -> dict[str, str]:
    return {
        "HOSTNAME": f"train-worker-{node - 1}" if node else "train-master-0",
        "VC_TASK_INDEX": str(max(0, node - 1)),
        "VC_MASTER_HOSTS": "train-master-0.train",
        "VC_WORKER_HOSTS": ",".join(f"train-worker-{other}.train" for other in range(count - 1)),
    }


PLATFORMS = {"dls": dls, "modelarts": modelarts, "volcano": volcano}
DOMAINS = {"dls": "", "modelarts": ".ma-job-7", "volcano": ".train"}


def names(platform: str, count: int = 2) -> list[str]:
    """The nodes' full names, in their order."""
    return [PLATFORMS[platform](node, count)["HOSTNAME"] + DOMAINS[platform] for node in range(count)]
