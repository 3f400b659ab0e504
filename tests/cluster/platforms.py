"""What each platform tells the containers of a job of two nodes, and what it calls them."""

from __future__ import annotations


def dls(node: int) -> dict[str, str]:
    return {
        "HOSTNAME": f"job-custom{node}-0",
        "DLS_TASK_INDEX": str(node),
        "DLS_TASK_NUMBER": "2",
        "DLS_JOB_ID": "jobab12cd34",
        "BATCH_CUSTOM0_HOSTS": "job-custom0-0:6100",
        "BATCH_CUSTOM1_HOSTS": "job-custom1-0:6101",
        "BATCH_CURRENT_HOST": f"job-custom{node}-0:610{node}",
        "BATCH_CURRENT_PORT": f"610{node}",
    }


def modelarts(node: int) -> dict[str, str]:
    return {
        "HOSTNAME": f"ma-job-7-worker-{node}",
        "MA_VJ_NAME": "ma-job-7",
        "MA_TASK_NAME": "worker",
        "MA_NUM_HOSTS": "2",
        "VC_TASK_INDEX": str(node),
        "VC_WORKER_HOSTS": "ma-job-7-worker-0.ma-job-7,ma-job-7-worker-1.ma-job-7",
    }


def volcano(node: int) -> dict[str, str]:
    return {
        "HOSTNAME": ("train-master-0", "train-worker-0")[node],
        "VC_TASK_INDEX": "0",
        "VC_MASTER_HOSTS": "train-master-0.train",
        "VC_WORKER_HOSTS": "train-worker-0.train",
    }


PLATFORMS = {"dls": dls, "modelarts": modelarts, "volcano": volcano}
DOMAINS = {"dls": "", "modelarts": ".ma-job-7", "volcano": ".train"}
NAMES = {name: [told(node)["HOSTNAME"] + DOMAINS[name] for node in range(2)] for name, told in PLATFORMS.items()}
