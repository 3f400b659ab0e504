"""As people reported it, several lines each: ranks that wait for each other, stores, hubs, names, proxies."""

from ..case import Case
from .traceback import raised

_SITE = "/opt/conda/lib/python3.11/site-packages"

CASES = [
    Case(
        "NCCL's watchdog, today's words",
        "collective-timeout",
        "[rank5]:[E1127 10:31:02.411 ProcessGroupNCCL.cpp:683] [Rank 5] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=18211, OpType=_ALLGATHER_BASE, NumelIn=65536, NumelOut=524288, Timeout(ms)=600000) ran for 600021 milliseconds before timing out.\n"
        "[rank5]:[E1127 10:31:02.412 ProcessGroupNCCL.cpp:2241] [PG ID 0 PG GUID 0(default_pg) Rank 5]  failure detected by watchdog at work sequence id: 18211 PG status: last enqueued work: 18214, last completed work: 18210\n"
        "[rank5]:[E1127 10:31:02.413 ProcessGroupNCCL.cpp:730] [Rank 5] Some NCCL operations have failed or timed out. Due to the asynchronous nature of CUDA kernels, subsequent GPU operations might run on corrupted/incomplete data.\n"
        "[rank5]:[E1127 10:31:02.413 ProcessGroupNCCL.cpp:744] [Rank 5] To avoid data inconsistency, we are taking the entire process down.\n"
        "terminate called after throwing an instance of 'c10::DistBackendError'\n"
        "  what():  [PG ID 0 PG GUID 0(default_pg) Rank 5] Process group watchdog thread terminated with exception: [Rank 5] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=18211, OpType=_ALLGATHER_BASE, NumelIn=65536, NumelOut=524288, Timeout(ms)=600000) ran for 600021 milliseconds before timing out.\n"
        "Exception raised from checkTimeout at /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:686 (most recent call first):\n",
        "Watchdog caught collective operation timeout",
        signal=6,
        in_ranks=False,
    ),
    Case(
        "a monitored barrier",
        "collective-timeout",
        raised("RuntimeError: [Rank 0]: Ranks 3 failed to pass monitoredBarrier in 1800000 ms"),
        "monitoredBarrier",
    ),
    Case(
        "gloo waited for a receive",
        "collective-timeout",
        raised(
            "RuntimeError: [/pytorch/third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 1800000ms for recv operation to complete"
        ),
        "Timed out waiting 1800000ms",
    ),
    Case(
        "HCCL: notify wait",
        "collective-timeout",
        raised(
            "RuntimeError: NPUModelRunner: operator execution failed, error code is 507046\n"
            "[ERROR] 2026-11-27-10:21:33 (PID:4120, Device:3, RankID:3) ERR02200 DIST call hccl api failed.\n"
            "EI0002: [PID: 4120] 2026-11-27-10:21:33.444.436 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank [4].\n"
            "        Solution: 1. If this error is reported on part of these ranks, check other ranks to see whether other errors have been reported earlier."
        ),
        "",
    ),
    Case(
        "HCCL: sockets",
        "collective-failed",
        raised(
            "RuntimeError: InnerRunOpApi:torch_npu/csrc/framework/OpParamMaker.cpp:281 OPS function error: HcclAllreduce, error code is 6\n"
            "[ERROR] 2026-04-08-18:07:20 (PID:1292363, Device:1, RankID:1) ERR01100 OPS call acl api failed.\n"
            "EI0006: [PID: 1292363] 2026-04-08-18:07:20.444.436 Getting socket times out. Reason: Remote Rank did not send the data in time. Please check the reason for the rank being stuck\n"
            "        Solution: 1. Check the rank service processes with other errors or no errors in the cluster."
        ),
        "",
    ),
    Case(
        "InfiniBand went",
        "collective-failed",
        "worker-0:3468:3905 [4] ib_plugin.c:1615 NCCL WARN NET/IB : Got completion from peer 10.216.210.236<54862> with status=12 opcode=0 len=0 vendor err 129 (Recv) localGid fd00::22 remoteGidsfd00::1f\n"
        "worker-0:3468:3905 [4] NCCL INFO transport/net.cc:1302 -> 6\n"
        + raised(
            "torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:77, remote process exited or there was a network error, NCCL version 2.27.5\n"
            "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\n"
            "Last error:\nNET/IB : Got completion from peer 10.216.210.236<54862> with status=12 opcode=0 len=0 vendor err 129 (Recv)"
        ),
        "",
        in_ranks=False,
    ),
    Case(
        "NCCL's system error",
        "collective-failed",
        "worker-1:77:120 [0] misc/socket.cc:484 NCCL WARN socketStartConnect: Connect to 169.254.3.1<44231> failed : Software caused connection abort\n"
        + raised(
            "torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:3690, unhandled system error (run with NCCL_DEBUG=INFO for details), NCCL version 2.27.5\n"
            "ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error."
        ),
        "",
        in_ranks=False,
    ),
    Case(
        "duplicate GPU",
        "collective-failed",
        raised(
            "torch.distributed.DistBackendError: NCCL error in: /pytorch/torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:3690, invalid usage (run with NCCL_DEBUG=WARN for details), NCCL version 2.27.5\n"
            "ncclInvalidUsage: This usually reflects invalid usage of NCCL library.\nLast error:\nDuplicate GPU detected : rank 1 and rank 0 both on CUDA device 5e000"
        ),
        "",
    ),
    Case(
        "the unique id never came",
        "rendezvous-timeout",
        raised(
            "torch.distributed.DistBackendError: [3] is setting up NCCL communicator and retrieving ncclUniqueId from [0] via c10d key-value store by key '0', but store->get('0') got error: Socket Timeout\n"
            "Exception raised from doWait at ../torch/csrc/distributed/c10d/TCPStore.cpp:589 (most recent call first):"
        ),
        "ncclUniqueId",
    ),
    Case(
        "not all joined the store",
        "rendezvous-timeout",
        raised(
            "torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 3/4 clients joined."
        ),
        "3/4 clients joined",
    ),
    Case(
        "the c10d client's connect",
        "rendezvous-timeout",
        "[W1127 09:00:00.1 socket.cpp:752] [c10d] The client socket cannot be initialized to connect to [worker-0]:29500 (errno: 97 - Address family not supported by protocol).\n"
        + raised(
            "torch.distributed.DistNetworkError: The client socket has timed out after 600000ms while trying to connect to (worker-0, 29500)."
        ),
        "timed out after 600000ms",
    ),
    Case(
        "elastic rendezvous",
        "rendezvous-timeout",
        raised(
            "torch.distributed.elastic.rendezvous.api.RendezvousTimeoutError",
            within=f"{_SITE}/torch/distributed/elastic/rendezvous/dynamic_rendezvous.py",
        ),
        "RendezvousTimeoutError",
        in_ranks=False,
    ),
    Case(
        "JAX waits for its tasks",
        "rendezvous-timeout",
        "E1127 09:00:00.1 external/xla/xla/pjrt/distributed/client.cc:96] Coordination service agent in error status\n"
        + raised(
            "jax.errors.JaxRuntimeError: DEADLINE_EXCEEDED: Barrier timed out. Id: [Init]Wait_for_all_tasks_to_register::0. This usually happens because a task triggered the barrier too early or too slowly. Please look at the task logs (both timed out and first task) to debug further.\n"
            "# of tasks that reached the barrier: 3/4.\nThe first task at the barrier: /job:jax_worker/replica:0/task:1. Some timed out task names:\n/job:jax_worker/replica:0/task:0"
        ),
        "Barrier timed out",
    ),
    Case(
        "the port is taken: torch",
        "address-in-use",
        raised(
            "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
        ),
        "29500",
    ),
    Case(
        "the port is taken: Python",
        "address-in-use",
        raised("OSError: [Errno 98] Address already in use"),
        "Address already in use",
    ),
    Case(
        "the port is taken: NPU",
        "address-in-use",
        raised(
            "RuntimeError: createHCCLComm:torch_npu/csrc/distributed/ProcessGroupHCCL.cpp:1900 HCCL function error: hcclCommInitRootInfoConfig, error code is 7\n"
            "[ERROR] 2026-11-27-10:21:33 (PID:4120, Device:3, RankID:3) ERR02200 DIST call hccl api failed.\n"
            "EI0019: [PID: 4120] Failed to bind the IP port 16666. Reason: The IP address and port have been bound already."
        ),
        "",
    ),
    # --- stores
    Case(
        "expired, by boto3",
        "credentials-expired",
        raised(
            "botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling the PutObject operation: The provided token has expired.",
            within=f"{_SITE}/botocore/client.py",
        ),
        "ExpiredToken",
    ),
    Case(
        "expired, by MoXing",
        "credentials-expired",
        "ERROR:root:Failed to call:\n\tfunc=<bound method ObsClient.getObject of <moxing.framework.file.src.obs.client.ObsClient object at 0x7f>>\n\targs=('bucket', 'data/x.rec')\nERROR:root:\n  stat:403\n  errorCode:SecurityTokenExpired\n  errorMessage:The security token has expired.\n  reason:Forbidden\n"
        + raised(
            "moxing.framework.file.src.obs.client.ObsError: {'status': 403, 'reason': 'Forbidden', 'errorCode': 'SecurityTokenExpired'}"
        ),
        "SecurityTokenExpired",
    ),
    Case(
        "the clock is off",
        "clock-skewed",
        raised(
            "botocore.exceptions.ClientError: An error occurred (RequestTimeTooSkewed) when calling the ListObjectsV2 operation: The difference between the request time and the current time is too large."
        ),
        "RequestTimeTooSkewed",
    ),
    Case(
        "denied, by boto3",
        "access-denied",
        raised(
            "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the CreateMultipartUpload operation: Access Denied"
        ),
        "AccessDenied",
    ),
    Case(
        "403 of a HEAD",
        "access-denied",
        raised(
            "botocore.exceptions.ClientError: An error occurred (403) when calling the HeadObject operation: Forbidden"
        ),
        "403",
    ),
    Case(
        "a wrong secret key",
        "access-denied",
        raised(
            "botocore.exceptions.ClientError: An error occurred (SignatureDoesNotMatch) when calling the GetObject operation: The request signature we calculated does not match the signature you provided. Check your key and signing method."
        ),
        "SignatureDoesNotMatch",
    ),
    Case(
        "s3fs: forbidden",
        "access-denied",
        raised("PermissionError: Forbidden", within=f"{_SITE}/s3fs/core.py"),
        "Forbidden",
    ),
    Case(
        "a gated model",
        "access-denied",
        raised(
            "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/meta-llama/Llama-3.1-8B.\n401 Client Error. (Request ID: Root=1-66f2)\n\nCannot access gated repo for url https://huggingface.co/meta-llama/Llama-3.1-8B/resolve/main/config.json.\nAccess to model meta-llama/Llama-3.1-8B is restricted. You must have access to it and be authenticated to access it. Please log in."
        ),
        "gated repo",
    ),
    Case(
        "wandb without a key",
        "access-denied",
        raised("wandb.errors.errors.UsageError: api_key not configured (no-tty). call wandb.login(key=[your_api_key])"),
        "api_key not configured",
    ),
    Case(
        "git over ssh",
        "access-denied",
        "Cloning into 'repo'...\ngit@gitlab.local: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n",
        "",
        status=128,
        in_ranks=False,
    ),
    Case(
        "no such key",
        "object-missing",
        raised(
            "botocore.errorfactory.NoSuchKey: An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist."
        ),
        "NoSuchKey",
    ),
    Case(
        "no such bucket",
        "object-missing",
        raised(
            "botocore.errorfactory.NoSuchBucket: An error occurred (NoSuchBucket) when calling the ListObjectsV2 operation: The specified bucket does not exist"
        ),
        "NoSuchBucket",
    ),
    Case(
        "a 404 of a HEAD",
        "object-missing",
        raised(
            "botocore.exceptions.ClientError: An error occurred (404) when calling the HeadObject operation: Not Found"
        ),
        "404",
    ),
    Case(
        "no such model",
        "object-missing",
        raised(
            "OSError: bert-base-uncasedd is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'\nIf this is a private repository, make sure to pass a token having permission to this repo either by logging in with `hf auth login` or by passing `token=<your_token>`"
        ),
        "not a valid model identifier",
    ),
    Case(
        "no such data set",
        "object-missing",
        raised(
            "datasets.exceptions.DatasetNotFoundError: Dataset 'glue-x' doesn't exist on the Hub or cannot be accessed."
        ),
        "glue-x",
    ),
    Case(
        "no such revision",
        "object-missing",
        raised(
            "huggingface_hub.errors.RevisionNotFoundError: 404 Client Error. (Request ID: Root=1-6)\n\nRevision Not Found for url: https://huggingface.co/gpt2/resolve/v9/config.json.\nInvalid rev id: v9"
        ),
        "Revision",
    ),
    # --- hubs and networks
    Case(
        "transformers without a network",
        "hub-unreachable",
        raised(
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.\nCheck your internet connection or see how to run the library in offline mode at 'https://huggingface.co/docs/transformers/installation#offline-mode'."
        ),
        "We couldn't connect",
    ),
    Case(
        "the hub's snapshot",
        "hub-unreachable",
        raised(
            "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the files on the Hub and we cannot find the appropriate snapshot folder for the specified revision on the local disk. Please check your internet connection and try again."
        ),
        "snapshot folder",
    ),
    Case(
        "requests to the hub",
        "hub-unreachable",
        raised(
            "requests.exceptions.ConnectionError: (MaxRetryError(\"HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /gpt2/resolve/main/config.json (Caused by NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 101] Network is unreachable'))\"), '(Request ID: 1)')"
        ),
        "huggingface.co",
    ),
    Case(
        "httpx to the hub",
        "hub-unreachable",
        raised("httpx.ConnectError: [Errno 101] Network is unreachable")
        + raised(
            "OSError: Can't load the configuration of 'Qwen/Qwen2.5-7B'. If you were trying to load it from 'https://huggingface.co/models', make sure you don't have a local directory with the same name. Otherwise, make sure 'Qwen/Qwen2.5-7B' is the correct path to a directory containing a config.json file"
        ),
        "",
    ),
    Case(
        "data sets without a network",
        "hub-unreachable",
        raised("ConnectionError: Couldn't reach 'wikitext' on the Hub (LocalEntryNotFoundError)"),
        "wikitext",
    ),
    Case(
        "torchvision's weights",
        "hub-unreachable",
        'Downloading: "https://download.pytorch.org/models/resnet50-11ad3fa6.pth" to /root/.cache/torch/hub/checkpoints/resnet50-11ad3fa6.pth\n'
        + raised(
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
            within=f"{_SITE}/torch/hub.py",
        ),
        "",
        in_ranks=False,
    ),
    Case(
        "pip without an index",
        "hub-unreachable",
        "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 101] Network is unreachable')': /simple/deepspeed/\nERROR: Could not find a version that satisfies the requirement deepspeed (from versions: none)\nERROR: No matching distribution found for deepspeed\n",
        "deepspeed",
        in_ranks=False,
    ),
    Case(
        "git clone without a network",
        "hub-unreachable",
        "Cloning into 'apex'...\nfatal: unable to access 'https://github.com/NVIDIA/apex/': Failed to connect to github.com port 443 after 130214 ms: Couldn't connect to server\n",
        "github.com",
        status=128,
        in_ranks=False,
    ),
    Case(
        "nltk",
        "hub-unreachable",
        "[nltk_data] Error loading punkt: <urlopen error [Errno 111] Connection refused>\n"
        + raised(
            "LookupError: \n**********************************************************************\n  Resource punkt not found.\n  Please use the NLTK Downloader to obtain the resource:\n\n  >>> import nltk\n  >>> nltk.download('punkt')\n"
        ),
        "",
    ),
    Case(
        "ModelScope",
        "hub-unreachable",
        raised(
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='www.modelscope.cn', port=443): Max retries exceeded with url: /api/v1/models/Qwen/Qwen2.5-7B/revisions (Caused by NameResolutionError(\"<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to resolve 'www.modelscope.cn' ([Errno -3] Temporary failure in name resolution)\"))"
        ),
        "modelscope.cn",
    ),
    Case(
        "a proxy refuses",
        "proxy-failed",
        raised(
            "requests.exceptions.ProxyError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /api/models/gpt2 (Caused by ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 403 Forbidden')))"
        ),
        "Tunnel connection failed",
    ),
    Case(
        "curl's proxy",
        "proxy-failed",
        "curl: (56) Received HTTP code 407 from proxy after CONNECT\n",
        "407",
        status=56,
        in_ranks=False,
    ),
    Case(
        "a self-signed certificate",
        "certificate-failed",
        raised(
            "requests.exceptions.SSLError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /gpt2/resolve/main/config.json (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1006)')))"
        ),
        "CERTIFICATE_VERIFY_FAILED",
    ),
    Case(
        "curl's certificate",
        "certificate-failed",
        "curl: (60) SSL certificate problem: unable to get local issuer certificate\nMore details here: https://curl.se/docs/sslcerts.html\n",
        "SSL certificate problem",
        status=60,
        in_ranks=False,
    ),
    Case(
        "a name of a peer",
        "name-unresolved",
        raised("socket.gaierror: [Errno -2] Name or service not known"),
        "Name or service not known",
    ),
    Case(
        "torch's store does not resolve",
        "name-unresolved",
        "[W1127 09:00:00.1 socket.cpp:464] [c10d] The IPv6 network addresses of (train-master-0.train, 23456) cannot be retrieved (gai error: -2 - Name or service not known).\n"
        * 3
        + raised(
            "torch.distributed.DistNetworkError: The client socket has failed to connect to any network address of (train-master-0.train, 23456). The IPv4 network addresses of (train-master-0.train, 23456) cannot be retrieved (gai error: -2 - Name or service not known)."
        ),
        "gai error",
    ),
    Case(
        "wget's name",
        "name-unresolved",
        "--2026-11-27 10:00:00--  http://mirror.local/data.tar\nResolving mirror.local (mirror.local)... failed: Temporary failure in name resolution.\nwget: unable to resolve host address 'mirror.local'\n",
        "mirror.local",
        status=4,
        in_ranks=False,
    ),
    Case(
        "refused",
        "network-unreachable",
        raised("ConnectionRefusedError: [Errno 111] Connection refused"),
        "Connection refused",
    ),
    Case(
        "boto's endpoint",
        "network-unreachable",
        raised(
            'botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: "https://obs.cn-north-4.myhuaweicloud.com/bucket?list-type=2"'
        ),
        "Could not connect to the endpoint URL",
    ),
    Case("no route", "network-unreachable", raised("OSError: [Errno 113] No route to host"), "No route to host"),
    Case(
        "redis away",
        "network-unreachable",
        raised("redis.exceptions.ConnectionError: Error 111 connecting to 10.0.0.9:6379. Connection refused."),
        "10.0.0.9:6379",
    ),
    Case(
        "reset",
        "connection-lost",
        raised("ConnectionResetError: [Errno 104] Connection reset by peer"),
        "reset by peer",
    ),
    Case(
        "read timed out",
        "connection-lost",
        raised(
            "requests.exceptions.ReadTimeout: HTTPConnectionPool(host='10.0.0.9', port=9000): Read timed out. (read timeout=60)"
        ),
        "Read timed out",
    ),
    Case(
        "incomplete read",
        "connection-lost",
        raised(
            "urllib3.exceptions.ProtocolError: ('Connection broken: IncompleteRead(1048576 bytes read, 7340032 more expected)', IncompleteRead(1048576 bytes read, 7340032 more expected))"
        ),
        "IncompleteRead",
    ),
    Case(
        "boto's read",
        "connection-lost",
        raised(
            'botocore.exceptions.ReadTimeoutError: Read timeout on endpoint URL: "https://obs.cn-north-4.myhuaweicloud.com/bucket/x"'
        ),
        "Read timeout",
    ),
    Case(
        "too many requests",
        "server-busy",
        raised(
            "huggingface_hub.errors.HfHubHTTPError: 429 Client Error: Too Many Requests for url: https://huggingface.co/api/models/gpt2"
        ),
        "429",
    ),
    Case(
        "slow down",
        "server-busy",
        raised(
            "botocore.exceptions.ClientError: An error occurred (SlowDown) when calling the PutObject operation (reached max retries: 4): Please reduce your request rate."
        ),
        "SlowDown",
    ),
    Case(
        "503",
        "server-busy",
        raised(
            "requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: http://mirror.local/simple/"
        ),
        "503",
    ),
]
