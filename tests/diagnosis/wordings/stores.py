"""Stores, hubs and the network."""

from ..case import Case
from .python import raised

BOTO = '  File "/opt/conda/lib/python3.10/site-packages/botocore/client.py", line 1009, in _make_api_call\n    raise error_class(parsed_response, operation_name)\n'
REQUESTS = """\
Traceback (most recent call last):
  File "/opt/conda/lib/python3.10/site-packages/urllib3/connection.py", line 199, in _new_conn
    sock = connection.create_connection(
  File "/opt/conda/lib/python3.10/socket.py", line 967, in getaddrinfo
    for res in _socket.getaddrinfo(host, port, family, type, proto, flags):
socket.gaierror: [Errno -3] Temporary failure in name resolution

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/conda/lib/python3.10/site-packages/urllib3/connectionpool.py", line 789, in urlopen
    response = self._make_request(
urllib3.exceptions.NameResolutionError: <urllib3.connection.HTTPSConnection object at 0x7f1c>: Failed to resolve '{0}' ([Errno -3] Temporary failure in name resolution)

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/job/train.py", line 17, in <module>
    get()
requests.exceptions.ConnectionError: HTTPSConnectionPool(host='{0}', port=443): Max retries exceeded with url: {1} (Caused by NameResolutionError("<urllib3.connection.HTTPSConnection object at 0x7f1c>: Failed to resolve '{0}' ([Errno -3] Temporary failure in name resolution)"))
"""

CASES = [
    Case(
        "temporary keys",
        "credentials-expired",
        raised(
            "botocore.exceptions.ClientError: An error occurred (ExpiredToken) when calling the PutObject operation: The provided token has expired.",
            BOTO,
        ),
        "ExpiredToken",
    ),
    Case(
        "temporary keys of OBS",
        "credentials-expired",
        raised(
            "obs.client.ObsException: status:403, errorCode:InvalidSecurityToken, errorMessage:The security token included in the request has expired."
        ),
        "expired",
    ),
    Case(
        "a clock",
        "clock-skewed",
        raised(
            "botocore.exceptions.ClientError: An error occurred (RequestTimeTooSkewed) when calling the ListObjectsV2 operation: The difference between the request time and the current time is too large.",
            BOTO,
        ),
        "RequestTimeTooSkewed",
    ),
    Case(
        "no right",
        "access-denied",
        raised(
            "botocore.exceptions.ClientError: An error occurred (AccessDenied) when calling the GetObject operation: Access Denied",
            BOTO,
        ),
        "AccessDenied",
    ),
    Case(
        "a bare 403",
        "access-denied",
        raised(
            "botocore.exceptions.ClientError: An error occurred (403) when calling the HeadObject operation: Forbidden",
            BOTO,
        ),
        "403",
    ),
    Case(
        "no keys",
        "access-denied",
        raised("botocore.exceptions.NoCredentialsError: Unable to locate credentials", BOTO),
        "Unable to locate credentials",
    ),
    Case(
        "no object",
        "object-missing",
        raised(
            "botocore.exceptions.ClientError: An error occurred (404) when calling the HeadObject operation: Not Found",
            BOTO,
        ),
        "404",
    ),
    Case(
        "no key",
        "object-missing",
        raised(
            "botocore.errorfactory.NoSuchKey: An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist.",
            BOTO,
        ),
        "NoSuchKey",
    ),
    Case(
        "the hub",
        "hub-unreachable",
        REQUESTS.format("huggingface.co", "/bert-base-uncased/resolve/main/config.json")
        + "\nThe above exception was the direct cause of the following exception:\n\n"
        + raised(
            "OSError: We couldn't connect to 'https://huggingface.co' to load the files, and couldn't find them in the cached files.\nCheck your internet connection or see how to run the library in offline mode at 'https://huggingface.co/docs/transformers/installation#offline-mode'."
        ),
        "couldn't connect to 'https://huggingface.co'",
    ),
    Case(
        "the hub, not in the cache",
        "hub-unreachable",
        raised(
            "huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub and we cannot find the requested files in the local cache. Please check your connection and try again or make sure your Internet connection is on."
        ),
        "LocalEntryNotFoundError",
    ),
    Case(
        "the hub's data sets",
        "hub-unreachable",
        raised("ConnectionError: Couldn't reach 'squad' on the Hub (ConnectionError)"),
        "Couldn't reach 'squad' on the Hub",
    ),
    Case(
        "the hub, a name alone",
        "hub-unreachable",
        REQUESTS.format("huggingface.co", "/api/models/gpt2"),
        "huggingface.co",
    ),
    Case(
        "ModelScope",
        "hub-unreachable",
        REQUESTS.format("www.modelscope.cn", "/api/v1/models/qwen/Qwen-7B/revisions"),
        "modelscope.cn",
    ),
    Case(
        "PyTorch's weights",
        "hub-unreachable",
        'Downloading: "https://download.pytorch.org/models/resnet50-0676ba61.pth" to /root/.cache/torch/hub/checkpoints/resnet50-0676ba61.pth\n'
        + raised(
            "urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>",
            '  File "/opt/conda/lib/python3.10/site-packages/torch/hub.py", line 620, in download_url_to_file\n    u = urlopen(req)\n',
        ),
        "urlopen error",
    ),
    Case(
        "pip",
        "hub-unreachable",
        "WARNING: Retrying (Retry(total=0, connect=None, read=None, redirect=None, status=None)) after connection broken by 'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new connection: [Errno 101] Network is unreachable')': /simple/einops/\nERROR: Could not find a version that satisfies the requirement einops (from versions: none)\nERROR: No matching distribution found for einops\n",
        "einops",
    ),
    Case(
        "a gated model",
        "access-denied",
        raised(
            "OSError: You are trying to access a gated repo.\nMake sure to have access to it at https://huggingface.co/meta-llama/Llama-2-7b-hf.\n401 Client Error. (Request ID: Root=1-65a)\nCannot access gated repo for url https://huggingface.co/meta-llama/Llama-2-7b-hf/resolve/main/config.json."
        ),
        "gated repo",
    ),
    Case(
        "no such model",
        "object-missing",
        raised(
            "OSError: bert-base-uncasd is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'\nIf this is a private repository, make sure to pass a token having permission to this repo either by logging in with `huggingface-cli login` or by passing `token=<your_token>`"
        ),
        "bert-base-uncasd",
    ),
    Case(
        "a proxy",
        "proxy-failed",
        raised(
            "requests.exceptions.ProxyError: HTTPSConnectionPool(host='huggingface.co', port=443): Max retries exceeded with url: /gpt2 (Caused by ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 403 Forbidden')))"
        ),
        "ProxyError",
    ),
    Case(
        "a certificate",
        "certificate-failed",
        raised(
            "requests.exceptions.SSLError: HTTPSConnectionPool(host='obs.example.com', port=443): Max retries exceeded with url: / (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate in certificate chain (_ssl.c:1006)')))"
        ),
        "CERTIFICATE_VERIFY_FAILED",
    ),
    Case(
        "git's certificate",
        "certificate-failed",
        "Cloning into 'apex'...\nfatal: unable to access 'https://git.example.com/apex.git/': SSL certificate problem: unable to get local issuer certificate\n",
        "SSL certificate problem",
        status=128,
    ),
    Case(
        "git without the internet",
        "hub-unreachable",
        "Cloning into 'apex'...\nfatal: unable to access 'https://github.com/NVIDIA/apex.git/': Could not resolve host: github.com\n",
        "github.com",
        status=128,
    ),
    Case(
        "a peer's name",
        "name-unresolved",
        raised("socket.gaierror: [Errno -2] Name or service not known"),
        "Name or service not known",
    ),
    Case(
        "curl's name", "name-unresolved", "curl: (6) Could not resolve host: data.internal\n", "data.internal", status=6
    ),
    Case(
        "a store that is busy",
        "server-busy",
        raised(
            "botocore.exceptions.ClientError: An error occurred (SlowDown) when calling the GetObject operation (reached max retries: 4): Please reduce your request rate.",
            BOTO,
        ),
        "SlowDown",
    ),
    Case(
        "an endpoint",
        "network-unreachable",
        raised(
            'botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: "https://obs.cn-north-4.example.com/bucket"',
            BOTO,
        ),
        "endpoint URL",
    ),
    Case(
        "a connection",
        "connection-lost",
        raised(
            "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))"
        ),
        "Connection aborted",
    ),
    Case(
        "wandb's key",
        "access-denied",
        raised("wandb.errors.errors.UsageError: api_key not configured (no-tty). call wandb.login(key=[your_api_key])"),
        "api_key not configured",
    ),
    Case(
        "a quota",
        "quota-exceeded",
        raised("OSError: [Errno 122] Disk quota exceeded: '/home/ma-user/work/out.pt'"),
        "Disk quota exceeded",
    ),
    Case(
        "a stale handle",
        "io-error",
        raised("OSError: [Errno 116] Stale file handle: '/nfs/data/train.bin'"),
        "Stale file handle",
    ),
    Case(
        "an error of a disk",
        "io-error",
        raised("OSError: [Errno 5] Input/output error: '/cache/part-3'"),
        "Input/output error",
    ),
    Case(
        "near: a lost connection that was made again",
        "python-exception",
        "Connection reset by peer, retrying\n"
        + REQUESTS.format("obs.example.com", "/x")
        + "retrying in 3 s\n"
        + "".join(f"step {n}\n" for n in range(30))
        + raised("ValueError: empty batch"),
        "empty batch",
    ),
]
