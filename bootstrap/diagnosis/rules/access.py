"""Stores, hubs and the network: keys, names, certificates, proxies."""

from __future__ import annotations

from ...reporting.language import Words
from ..verdict import Fault, Kind, RetryAdvice
from .model import cause, rule, unless

CAUSES = (
    cause(
        "credentials-expired",
        Kind.ACCESS,
        RetryAdvice.YES,
        (
            "temporary keys ended while the command used them",
            "Have the command read keys that are renewed (the file in --credentials-file), or take keys that live "
            "longer",
        ),
        ("临时密钥在使用过程中过期", "让命令读取会更新的密钥（--credentials-file 指定的文件），或使用有效期更长的密钥"),
    ),
    cause(
        "clock-skewed",
        Kind.ACCESS,
        RetryAdvice.YES,
        (
            "this node's clock is too far from the server's",
            "Start it again on another node, and have this one's clock set (NTP)",
        ),
        ("节点时钟与服务器相差过大", "换节点重新提交，并请平台校准该节点的时钟（NTP）"),
        Fault.PLATFORM,
    ),
    cause(
        "access-denied",
        Kind.ACCESS,
        RetryAdvice.NO,
        (
            "a server refused what the command asked for",
            "Check that the key or token is valid there, has the right to do it, and that terms of use have been "
            "accepted",
        ),
        ("服务器拒绝访问", "检查密钥或 token 是否有效、是否有相应权限，以及是否已接受使用协议"),
    ),
    cause(
        "object-missing",
        Kind.INPUT,
        RetryAdvice.NO,
        (
            "an object, bucket, model or data set is not where the command looks for it",
            "Compare the name with a listing; watch the region, upper and lower case, and revisions",
        ),
        ("对象、桶、模型或数据集不存在", "与列表核对名称；注意区域、大小写和版本（revision）"),
    ),
    cause(
        "hub-unreachable",
        Kind.NETWORK,
        RetryAdvice.NO,
        (
            "a model or data hub cannot be reached from here",
            "Training nodes have no internet as a rule: bring the files along (--input) and set HF_HUB_OFFLINE=1, "
            "or use a "
            "mirror (HF_ENDPOINT; MODELSCOPE_DOMAIN; pip: PIP_INDEX_URL)",
        ),
        (
            "无法访问模型或数据集仓库",
            "训练节点通常不能访问公网：请提前下载并随作业传入（--input）并设置 HF_HUB_OFFLINE=1，"
            "或使用镜像站（HF_ENDPOINT；MODELSCOPE_DOMAIN；pip 用 PIP_INDEX_URL）",
        ),
        Fault.EITHER,
    ),
    cause(
        "proxy-failed",
        Kind.NETWORK,
        RetryAdvice.NO,
        (
            "a proxy refused the connection or could not be reached",
            "Check http_proxy and https_proxy, and list what is inside the cluster in no_proxy",
        ),
        ("代理拒绝连接或无法连接代理", "检查 http_proxy、https_proxy，并把集群内部地址加入 no_proxy"),
        Fault.EITHER,
    ),
    cause(
        "certificate-failed",
        Kind.NETWORK,
        RetryAdvice.NO,
        (
            "a server's certificate could not be verified",
            "Install the authority's certificate and name it (REQUESTS_CA_BUNDLE, SSL_CERT_FILE, AWS_CA_BUNDLE); "
            "check the "
            "node's clock",
        ),
        (
            "服务器证书校验失败",
            "安装 CA 证书并通过 REQUESTS_CA_BUNDLE、SSL_CERT_FILE 或 AWS_CA_BUNDLE 指定；并检查节点时钟",
        ),
        Fault.EITHER,
    ),
    cause(
        "name-unresolved",
        Kind.NETWORK,
        RetryAdvice.YES,
        (
            "a host name could not be resolved",
            "Check the name; in Kubernetes a peer's name exists only once its pod is ready",
        ),
        ("主机名无法解析", "检查主机名；在 Kubernetes 中，对端 Pod 就绪后其域名才存在"),
        Fault.EITHER,
    ),
    cause(
        "network-unreachable",
        Kind.NETWORK,
        RetryAdvice.YES,
        (
            "a server could not be reached",
            "Check address, port and route; training nodes have no internet as a rule (pip: MA_PIP_URL, PIP_INDEX_URL)",
        ),
        ("无法连接到服务器", "检查地址、端口与路由；训练节点通常不能访问公网（pip 可用 MA_PIP_URL、PIP_INDEX_URL）"),
        Fault.EITHER,
    ),
    cause(
        "connection-lost",
        Kind.NETWORK,
        RetryAdvice.YES,
        (
            "a connection broke or a server did not answer in time",
            "It may pass by itself; have the command try such requests again, with a time-out of its own",
        ),
        ("连接中断或服务器响应超时", "可能是偶发问题；建议在代码中对此类请求设置超时并重试"),
        Fault.EITHER,
    ),
    cause(
        "server-busy",
        Kind.NETWORK,
        RetryAdvice.YES,
        (
            "a server answered that it is overloaded or out of order",
            "Start it again later; fewer ranks should ask at the same time",
        ),
        ("服务器过载或暂不可用", "请稍后重试，并减少同时请求的 rank 数"),
        Fault.EITHER,
    ),
)

_HUBS = (
    r"(?:huggingface\.co|xethub\.hf\.co|hf-mirror\.com|hf\.co|modelscope\.cn|openmind\.cn|gitee\.com|github\.com|"
    r"githubusercontent\.com"
    r"|download\.pytorch\.org|storage\.googleapis\.com|dl\.fbaipublicfiles\.com|paddlepaddle\.org\.cn|bcebos\.com|"
    r"pypi\.org"
    r"|files\.pythonhosted\.org|openaipublic|nltk|kaggle\.com|wandb\.ai|swanlab\.cn|s3\.amazonaws\.com|ollama)"
)
_NO_WAY = (
    r"(?:Max retries exceeded|NewConnectionError|NameResolutionError|getaddrinfo failed|name resolution|not known|"
    r"unreachable"
    r"|ConnectTimeout|timed out|Connection refused|Couldn't (?:connect|reach)|couldn't connect|Cannot connect to "
    r"host|SSL: UNEXPECTED_EOF|Could not connect)"
)

RULES = (
    rule(
        "expired",
        "credentials-expired",
        r"\bExpiredToken\w*",
        r"(?:security )?token (?:included in the request )?(?:is|has) expired",
        r"The provided token has expired",
        r"RequestExpired",
        r"TokenExpired",
        r"(?i:credentials? (?:have|has|is) expired)",
        r"InvalidSecurityToken.*expired",
        r"The security token.*expired",
        look=unless(r"(?i:certificate)"),
    ),
    rule(
        "clock",
        "clock-skewed",
        r"RequestTimeTooSkewed",
        r"difference between the request time and the (?:current|server)",
        r"(?i:clock (?:skew|is (?:ahead|behind|wrong)))",
        r"certificate is not yet valid",
        r"Token used too early",
    ),
    rule(
        "proxy",
        "proxy-failed",
        r"ProxyError",
        r"Tunnel connection failed",
        r"Unable to connect to proxy",
        r"407 Proxy Authentication",
        r"Could not resolve proxy",
        r"CONNECT tunnel failed",
        r"ProxyConnectionError",
        r"Cannot connect to proxy",
        r"Received HTTP code \d+ from proxy",
    ),
    rule(
        "certificate",
        "certificate-failed",
        r"CERTIFICATE_VERIFY_FAILED",
        r"certificate verify failed",
        r"self[- ]signed certificate",
        r"unable to get local issuer certificate",
        r"SSL certificate problem",
        r"hostname .* doesn't match",
        r"Could not find a suitable TLS CA certificate bundle",
        r"certificate has expired",
        r"server certificate verification failed",
        r"x509: certificate",
        r"SSL: WRONG_VERSION_NUMBER",
        r"SSLCertVerificationError",
    ),
    rule(
        "hub-gated",
        "access-denied",
        r"You are trying to access a gated repo",
        r"GatedRepoError",
        r"Access to model .* is restricted",
        r"Cannot access gated repo",
        r"Invalid (?:username or password|user token|API key)",
        r"make sure you pass (?:a token|your HF token)",
        r"api_key not configured",
        r"No API key configured",
        hint=Words(
            "Accept the terms on the hub's page and give the job a token (HF_TOKEN), or bring the files along",
            "请在仓库页面接受协议并为作业提供 token（HF_TOKEN），或提前下载后随作业传入",
        ),
    ),
    rule(
        "hub-missing",
        "object-missing",
        r"RepositoryNotFoundError",
        r"RevisionNotFoundError",
        r"EntryNotFoundError: 404",
        r"is not a local folder and is not a valid model identifier",
        r"DatasetNotFoundError",
        r"404 Client Error",
        r"Dataset '[^']+' doesn't exist on the Hub",
        r"Repository Not Found for url",
        r"HTTP (?:Error|response code) 404",
        look=unless(r"LocalEntryNotFound|401 Client|couldn't connect"),
    ),
    rule(
        "hub",
        "hub-unreachable",
        r"couldn't connect to ['\"]?https://",
        r"We couldn't connect to",
        r"LocalEntryNotFoundError",
        r"OfflineModeIsEnabled",
        r"Cannot find the requested files in the (?:disk|local) cache",
        r"Couldn't reach (?:['\"]?\S+['\"]? )?on the Hub",
        r"offline mode is enabled",
        r"[Cc]annot reach (?:the )?(?:hub|Hub)\b",
        rf"{_HUBS}[^\n]*{_NO_WAY}",
        rf"{_NO_WAY}[^\n]*{_HUBS}",
        r"Can't load (?:the )?(?:tokenizer|model|config\w*|image processor|feature extractor) (?:for|of) ['\"]",
        r"(?:Failed to download|Error downloading|Download from) [^\n]*https?://",
        r"Resource .*not found\.\s*Please use the NLTK",
        r"Can't reach the (?:mirror|hub)",
        r"CAS service error",  # of the hub's storage
        r"Run initialization has timed out",  # of Weights & Biases
        look=unless(r"ProxyError|Tunnel connection failed|CERTIFICATE|certificate|401|403 |404 Client"),
    ),
    rule(
        "hub-pip",
        "hub-unreachable",
        r"Could not find a version that satisfies the requirement",
        r"No matching distribution found",
        r"CondaHTTPError",
        r"fatal: unable to access 'https?://",
        look=unless(r"ProxyError|certificate"),
        retry=RetryAdvice.NO,
    ),
    rule(
        "hub-opener",
        "hub-unreachable",
        r"URLError: <urlopen error",
        type=r"URLError",
        bare=False,
        look=lambda found, saying, _machine: (
            {}
            if any(
                part in frame.file
                for frame in saying.frames
                for part in ("torch/hub.py", "torchvision/datasets", "/tensorflow/", "/keras/", "/nltk/", "/paddle/")
            )
            else None
        ),
    ),
    rule(
        "missing-object",
        "object-missing",
        r"\bNoSuch(?:Key|Bucket|Upload)\b",
        r"The specified (?:key|bucket) does not exist",
        r"(?:HeadObject|GetObject|HeadBucket) operation: Not Found",
        r"\(404\) when calling",
        r"errorCode:NoSuch\w+",
    ),
    rule(
        "denied",
        "access-denied",
        r"\bAccessDenied\b",
        r"\(403\) when calling",
        r"InvalidAccessKeyId",
        r"SignatureDoesNotMatch",
        r"\bAllAccessDisabled\b",
        r"403 (?:Client Error|Forbidden)",
        r"401 (?:Client Error|Unauthorized)",
        r"HTTP Error 40[13]",
        r"^PermissionError: (?:Forbidden|Access Denied|Unauthorized)",  # s3fs and its kin, without a number
        r"NoCredentialsError",
        r"Unable to locate credentials",
        r"PartialCredentialsError",
        r"NoCredentialProviders",
        r"Permission denied \(publickey",
        r"Could not read from remote repository",
        r"Authentication failed",
        r"PERMISSION_DENIED",
        r"UNAUTHENTICATED",
        r"Host key verification failed",
        r"could not read Username for",
    ),
    rule(
        "busy",
        "server-busy",
        r"\bSlowDown\b",
        r"\bServiceUnavailable\b",
        r"\b(?:429|503|502|504) (?:Client|Server) Error",
        r"Too Many Requests",
        r"HTTP Error (?:429|50[234])",
        r"ThrottlingException",
        r"\(503\) when calling",
        r"InternalError\) when calling",
    ),
    rule(
        "name",
        "name-unresolved",
        r"Temporary failure in name resolution",
        r"Name or service not known",
        r"nodename nor servname",
        r"getaddrinfo",
        r"gaierror",
        r"NameResolutionError",
        r"[Cc]ould not resolve host",
        r"unable to resolve host",
        r"No address associated with hostname",
        r"Name does not resolve",
        r"unknown host",
        r"UnknownHostException",
        r"Failed to resolve",
    ),
    rule(
        "unreachable",
        "network-unreachable",
        r"Network is unreachable",
        r"No route to host",
        r"Failed to establish a new connection",
        r"[Cc]onnection refused",
        r"ConnectionRefusedError",
        r"\[Errno 11[13]\]",
        r"\[Errno 101\]",
        r"EndpointConnectionError",
        r"Could not connect to the endpoint URL",
        r"Cannot connect to (?:host|the Docker)",
        r"[Ff]ailed to connect to (?:all addresses|\S+ port)",
        look=unless(r"coordination service|XlaRuntimeError|TCPStore|gloo"),
    ),
    rule(
        "lost",
        "connection-lost",
        r"ConnectionResetError",
        r"Connection reset by peer",
        r"(?:Read|Connect) ?[Tt]imed? ?out",
        r"ConnectTimeout",
        r"ReadTimeout",
        r"RemoteDisconnected",
        r"IncompleteRead",
        r"ChunkedEncodingError",
        r"Connection aborted",
        r"\[Errno 110\]",
        r"Connection timed out",
        r"ConnectionClosedError",
        r"ServerDisconnectedError",
        r"SSL: UNEXPECTED_EOF",
        r"Server closed the connection",
        look=unless(r"gloo|nccl|NCCL|TCPStore"),
    ),
)
