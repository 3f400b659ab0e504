"""As people reported it, several lines each: packages, files, options, scripts, programs that train."""

from ..case import Case
from .traceback import raised

_SITE = "/opt/conda/lib/python3.11/site-packages"

CASES = [
    # --- packages
    Case(
        "an undefined symbol",
        "packages-mismatch",
        raised(
            f"ImportError: {_SITE}/flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so: undefined symbol: _ZN3c104cuda9SetDeviceEi"
        ),
        "undefined symbol",
    ),
    Case(
        "GLIBCXX",
        "packages-mismatch",
        raised(
            f"ImportError: /lib/x86_64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.29' not found (required by {_SITE}/scipy/linalg/_matfuncs_sqrtm_triu.so)"
        ),
        "GLIBCXX_3.4.29",
    ),
    Case(
        "GLIBC",
        "packages-mismatch",
        "/opt/tools/aria2c: /lib64/libc.so.6: version `GLIBC_2.34' not found (required by /opt/tools/aria2c)\n",
        "GLIBC_2.34",
        in_ranks=False,
    ),
    Case(
        "dtype size",
        "packages-mismatch",
        raised(
            "ValueError: numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got 88 from PyObject"
        ),
        "dtype size changed",
    ),
    Case(
        "numpy 2 beside 1",
        "packages-mismatch",
        raised(
            "ImportError: \nA module that was compiled using NumPy 1.x cannot be run in\nNumPy 2.1.3 as it may crash. To support both 1.x and 2.x\nversions of NumPy, modules must be compiled with NumPy 2.0.\n"
        ),
        "NumPy 1.x",
    ),
    Case(
        "a removed name of numpy",
        "packages-mismatch",
        raised(
            "AttributeError: module 'numpy' has no attribute 'bool'.\n`np.bool` was a deprecated alias for the builtin `bool`.",
            within=f"{_SITE}/mxnet/numpy/utils.py",
        ),
        "numpy",
    ),
    Case(
        "transformers wants another hub",
        "packages-mismatch",
        raised(
            "ImportError: tokenizers>=0.21,<0.22 is required for a normal functioning of this module, but found tokenizers==0.20.3."
        ),
        "tokenizers>=0.21",
    ),
    Case(
        "protobuf's descriptors",
        "packages-mismatch",
        raised(
            "TypeError: Descriptors cannot be created directly.\nIf this call came from a _pb2.py file, your generated code is out of date and must be regenerated with protoc >= 3.19.0."
        ),
        "Descriptors cannot",
    ),
    Case(
        "torchvision's nms",
        "packages-mismatch",
        raised("RuntimeError: operator torchvision::nms does not exist"),
        "torchvision::nms",
    ),
    Case(
        "a wheel of another Python",
        "packages-mismatch",
        "ERROR: torch-2.1.0-cp39-cp39-linux_x86_64.whl is not a supported wheel on this platform.\n",
        "not a supported wheel",
        in_ranks=False,
    ),
    Case(
        "libcudart",
        "library-missing",
        raised("ImportError: libcudart.so.11.0: cannot open shared object file: No such file or directory"),
        "libcudart.so.11.0",
    ),
    Case(
        "libGL",
        "library-missing",
        raised(
            "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
            within=f"{_SITE}/cv2/__init__.py",
        ),
        "libGL.so.1",
    ),
    Case(
        "a program's library",
        "library-missing",
        "./preprocess: error while loading shared libraries: libopenblas.so.0: cannot open shared object file: No such file or directory\n",
        "libopenblas.so.0",
        status=127,
        in_ranks=False,
    ),
    Case(
        "libhccl",
        "library-missing",
        raised(
            "ImportError: libhccl.so: cannot open shared object file: No such file or directory. Please check that the cann package is installed. Please run 'source set_env.sh' in the CANN installation path."
        ),
        "libhccl.so",
    ),
    Case(
        "dlopen of OSError",
        "library-missing",
        raised(
            "OSError: libmkl_rt.so.2: cannot open shared object file: No such file or directory",
            within="/opt/conda/lib/python3.11/ctypes/__init__.py",
        ),
        "libmkl_rt.so.2",
    ),
    Case("a module", "module-missing", raised("ModuleNotFoundError: No module named 'flash_attn'"), "flash_attn"),
    Case(
        "a module of a package",
        "module-missing",
        raised("ModuleNotFoundError: No module named 'megatron.core'; 'megatron' is not a package"),
        "megatron.core",
    ),
    Case(
        "python -m",
        "module-missing",
        "/opt/conda/bin/python: No module named torch.distributed.run\n",
        "torch.distributed.run",
        in_ranks=False,
    ),
    Case(
        "a shadowed package",
        "import-failed",
        raised(
            "AttributeError: partially initialized module 'torch' has no attribute 'nn' (most likely due to a circular import)",
            file="/job/torch.py",
            line=3,
        ),
        "partially initialized",
    ),
    Case(
        "a circular import",
        "import-failed",
        raised(
            "ImportError: cannot import name 'Model' from partially initialized module 'models' (most likely due to a circular import) (/job/models/__init__.py)"
        ),
        "partially initialized",
    ),
    Case(
        "a name that is gone",
        "import-failed",
        raised(
            "ImportError: cannot import name 'load_metric' from 'datasets' (/opt/conda/lib/python3.11/site-packages/datasets/__init__.py)"
        ),
        "load_metric",
    ),
    Case(
        "a relative import",
        "import-failed",
        raised("ImportError: attempted relative import with no known parent package"),
        "relative import",
    ),
    Case(
        "a program",
        "program-missing",
        "/job/run.sh: line 14: accelerate: command not found\n",
        "accelerate",
        status=127,
        in_ranks=False,
    ),
    Case(
        "a program from Python",
        "program-missing",
        raised(
            "FileNotFoundError: [Errno 2] No such file or directory: 'ffmpeg'",
            within="/opt/conda/lib/python3.11/subprocess.py",
            function="_execute_child",
        ),
        "ffmpeg",
    ),
    Case("dash: not found", "program-missing", "run.sh: 3: nvcc: not found\n", "nvcc", status=127, in_ranks=False),
    Case(
        "ninja",
        "program-missing",
        raised("RuntimeError: Ninja is required to load C++ extensions (pip install ninja to get it)"),
        "Ninja is required",
    ),
    Case(
        "another architecture",
        "architecture-wrong",
        "/job/run.sh: line 2: ./trainer: cannot execute binary file: Exec format error\n",
        "Exec format",
        status=126,
        in_ranks=False,
    ),
    Case(
        "another architecture, from Python",
        "architecture-wrong",
        raised("OSError: [Errno 8] Exec format error: './trainer'"),
        "Exec format",
    ),
    # --- files
    Case(
        "a file",
        "file-missing",
        raised("FileNotFoundError: [Errno 2] No such file or directory: '/job/data/train.jsonl'"),
        "train.jsonl",
    ),
    Case(
        "pandas",
        "file-missing",
        raised(
            "FileNotFoundError: [Errno 2] No such file or directory: './labels.csv'",
            within=f"{_SITE}/pandas/io/common.py",
        ),
        "labels.csv",
    ),
    Case(
        "python cannot open",
        "file-missing",
        "python: can't open file '/job/trian.py': [Errno 2] No such file or directory\n",
        "trian.py",
        status=2,
        in_ranks=False,
    ),
    Case("cat", "file-missing", "cat: /job/conf/base.yaml: No such file or directory\n", "base.yaml", in_ranks=False),
    Case(
        "cd",
        "file-missing",
        "/job/run.sh: line 3: cd: /home/work/user-job-dir/code: No such file or directory\n",
        "user-job-dir/code",
        in_ranks=False,
    ),
    Case(
        "C++ cannot open",
        "file-missing",
        raised("RuntimeError: Cannot open file /data/vocab.txt: No such file or directory"),
        "vocab.txt",
    ),
    Case(
        "safetensors: no such file",
        "file-missing",
        raised('FileNotFoundError: No such file or directory: "/ckpt/model-00001-of-00004.safetensors"'),
        "model-00001",
    ),
    Case(
        "an obs URL opened as a path",
        "url-used-as-path",
        raised("FileNotFoundError: [Errno 2] No such file or directory: 'obs://bucket/data/train.csv'"),
        "obs://bucket",
    ),
    Case(
        "permission",
        "permission-denied",
        raised("PermissionError: [Errno 13] Permission denied: '/home/ma-user/.cache/huggingface/hub'"),
        "Permission denied",
    ),
    Case(
        "a script without x",
        "permission-denied",
        "/usr/bin/bash: /job/run.sh: Permission denied\n",
        "Permission denied",
        status=126,
        in_ranks=False,
    ),
    Case(
        "mkdir: permission",
        "permission-denied",
        "mkdir: cannot create directory '/cache/out': Permission denied\n",
        "Permission denied",
        in_ranks=False,
    ),
    Case(
        "a read-only disk",
        "read-only",
        raised("OSError: [Errno 30] Read-only file system: '/data/out/ckpt'"),
        "Read-only",
    ),
    Case(
        "touch: read-only",
        "read-only",
        "touch: cannot touch '/mnt/obs/flag': Read-only file system\n",
        "Read-only",
        in_ranks=False,
    ),
    Case(
        "an image",
        "data-corrupt",
        raised("PIL.UnidentifiedImageError: cannot identify image file '/data/img/000171.jpg'"),
        "000171.jpg",
    ),
    Case(
        "a truncated image",
        "data-corrupt",
        raised("OSError: image file is truncated (12 bytes not processed)"),
        "truncated",
    ),
    Case(
        "gzip",
        "data-corrupt",
        raised("EOFError: Compressed file ended before the end-of-stream marker was reached"),
        "end-of-stream",
    ),
    Case(
        "gzip by tar",
        "data-corrupt",
        "gzip: stdin: unexpected end of file\ntar: Unexpected EOF in archive\ntar: Error is not recoverable: exiting now\n",
        "",
        status=2,
        in_ranks=False,
    ),
    Case(
        "parquet",
        "data-corrupt",
        raised(
            "pyarrow.lib.ArrowInvalid: Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file."
        ),
        "magic bytes",
    ),
    Case(
        "tfrecord",
        "data-corrupt",
        raised(
            "tensorflow.python.framework.errors_impl.DataLossError: {{function_node __wrapped__IteratorGetNext}} corrupted record at 1048576 [Op:IteratorGetNext]"
        ),
        "corrupted record",
    ),
    # --- options and configuration
    Case(
        "argparse",
        "arguments-invalid",
        "usage: train.py [-h] [--lr LR]\ntrain.py: error: argument --lr: invalid float value: '1e-4x'\n",
        "invalid float value",
        status=2,
    ),
    Case(
        "argparse: required",
        "arguments-invalid",
        "usage: train.py [-h] --data DATA\ntrain.py: error: the following arguments are required: --data\n",
        "are required",
        status=2,
    ),
    Case(
        "HfArgumentParser",
        "arguments-invalid",
        raised(
            "ValueError: Some specified arguments are not used by the HfArgumentParser: ['--evaluation_strategy', 'steps']"
        ),
        "evaluation_strategy",
    ),
    Case(
        "click",
        "arguments-invalid",
        "Usage: train.py [OPTIONS]\nTry 'train.py --help' for help.\n\nError: No such option: --epoch Did you mean --epochs?\n",
        "No such option",
        status=2,
    ),
    Case(
        "torchrun's own",
        "arguments-invalid",
        "usage: torchrun [-h] [--nnodes NNODES]\ntorchrun: error: the following arguments are required: training_script, training_script_args\n",
        "training_script",
        status=2,
        in_ranks=False,
    ),
    Case(
        "absl",
        "arguments-invalid",
        "FATAL Flags parsing error: Unknown command line flag 'bathc_size'. Did you mean: batch_size ?\nPass --helpshort or --helpfull to see help on flags.\n",
        "bathc_size",
    ),
    Case(
        "tyro",
        "arguments-invalid",
        "╭─ Unrecognized options ─────────────────────╮\n│ Unrecognized options: --lrr                 │\n│ ─────────────────────────────────────────── │\n│ For full helptext, run train.py --help      │\n╰─────────────────────────────────────────────╯\n",
        "--lrr",
        status=2,
    ),
    Case(
        "JSON",
        "config-invalid",
        raised("json.decoder.JSONDecodeError: Expecting ',' delimiter: line 14 column 5 (char 312)"),
        "line 14 column 5",
    ),
    Case(
        "YAML",
        "config-invalid",
        raised(
            'yaml.scanner.ScannerError: mapping values are not allowed here\n  in "conf/base.yaml", line 7, column 12'
        ),
        "mapping values",
    ),
    Case(
        "hydra",
        "config-invalid",
        "Could not override 'model.hiden'.\nTo append to your config use +model.hiden=512\nKey 'hiden' is not in struct\n    full_key: model.hiden\n    object_type=dict\n\nSet the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\n",
        "model.hiden",
    ),
    Case(
        "OmegaConf",
        "config-invalid",
        raised(
            "omegaconf.errors.MissingMandatoryValue: Missing mandatory value: data.root\n    full_key: data.root\n    object_type=dict"
        ),
        "data.root",
    ),
    Case(
        "pydantic",
        "config-invalid",
        raised(
            "pydantic_core._pydantic_core.ValidationError: 1 validation error for TrainConfig\nbatch_size\n  Input should be a valid integer, unable to parse string as an integer [type=int_parsing, input_value='32x', input_type=str]"
        ),
        "batch_size",
    ),
    Case(
        "DeepSpeed's arithmetic",
        "config-invalid",
        raised(
            "AssertionError: Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size 64 != 4 * 1 * 8"
        ),
        "train_batch_size",
    ),
    Case("TOML", "config-invalid", raised("tomllib.TOMLDecodeError: Invalid value (at line 3, column 8)"), "line 3"),
    Case(
        "Python 2",
        "syntax-error",
        '  File "/job/train.py", line 3\n    print "epoch", n\n    ^^^^^^^^^^^^^^^^\nSyntaxError: Missing parentheses in call to \'print\'. Did you mean print(...)?\n',
        "Missing parentheses",
    ),
    Case(
        "indentation",
        "syntax-error",
        '  File "/job/train.py", line 12\n    return x\nIndentationError: unexpected indent\n',
        "unexpected indent",
    ),
    Case(
        "match in an old Python",
        "syntax-error",
        '  File "/job/conf.py", line 4\n    match kind:\n          ^\nSyntaxError: invalid syntax\n',
        "invalid syntax",
    ),
    Case(
        "bash syntax",
        "syntax-error",
        "/job/run.sh: line 9: syntax error near unexpected token `fi'\n/job/run.sh: line 9: `fi'\n",
        "unexpected token",
        status=2,
        in_ranks=False,
    ),
    Case(
        "bash's arrays in dash",
        "syntax-error",
        'run.sh: 4: Syntax error: "(" unexpected\n',
        "unexpected",
        status=2,
        in_ranks=False,
    ),
    Case(
        "DOS line ends",
        "line-endings",
        "/job/run.sh: line 2: $'\\r': command not found\n/job/run.sh: line 5: syntax error: unexpected end of file\n",
        "",
        status=2,
        in_ranks=False,
    ),
    Case(
        "a DOS interpreter",
        "line-endings",
        "/usr/bin/env: 'bash\\r': No such file or directory\n",
        "",
        status=127,
        in_ranks=False,
    ),
    Case(
        "an unset variable",
        "variable-missing",
        "/job/run.sh: line 4: MASTER_ADDR: unbound variable\n",
        "MASTER_ADDR",
        in_ranks=False,
    ),
    Case(
        "env:// without RANK",
        "variable-missing",
        raised(
            "ValueError: Error initializing torch.distributed using env:// rendezvous: environment variable RANK expected, but not set"
        ),
        "RANK",
    ),
    Case(
        "os.environ",
        "variable-missing",
        "Traceback (most recent call last):\n  File \"/job/train.py\", line 7, in <module>\n    rank = os.environ['LOCAL_RANK']\n  File \"<frozen os>\", line 685, in __getitem__\nKeyError: 'LOCAL_RANK'\n",
        "LOCAL_RANK",
    ),
    # --- training
    Case(
        "a cut checkpoint",
        "checkpoint-corrupt",
        raised("RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory"),
        "central directory",
    ),
    Case(
        "cut safetensors",
        "checkpoint-corrupt",
        raised("safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer"),
        "deserializing header",
    ),
    Case(
        "an LFS pointer",
        "checkpoint-corrupt",
        raised("_pickle.UnpicklingError: invalid load key, 'v'."),
        "invalid load key",
    ),
    Case("an empty pickle", "checkpoint-corrupt", raised("EOFError: Ran out of input"), "Ran out of input"),
    Case(
        "HDF5",
        "checkpoint-corrupt",
        raised(
            "OSError: Unable to synchronously open file (truncated file: eof = 1048576, sblock->base_addr = 0, stored_eof = 102764688)"
        ),
        "truncated file",
    ),
    Case(
        "other sizes",
        "checkpoint-mismatch",
        raised(
            "RuntimeError: Error(s) in loading state_dict for ResNet:\n\tsize mismatch for fc.weight: copying a param with shape torch.Size([1000, 2048]) from checkpoint, the shape in current model is torch.Size([10, 2048])."
        ),
        "ResNet",
    ),
    Case(
        "missing keys",
        "checkpoint-mismatch",
        raised(
            'RuntimeError: Error(s) in loading state_dict for GPT:\n\tMissing key(s) in state_dict: "blocks.0.attn.qkv.weight". \n\tUnexpected key(s) in state_dict: "module.blocks.0.attn.qkv.weight". '
        ),
        "GPT",
    ),
    Case(
        "another optimizer",
        "checkpoint-mismatch",
        raised(
            "ValueError: loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
        ),
        "parameter group",
    ),
    Case(
        "weights only",
        "checkpoint-mismatch",
        raised(
            "_pickle.UnpicklingError: Weights only load failed. This file can still be loaded, to do so you have two options, do those steps only if you trust the source of the checkpoint."
        ),
        "Weights only",
    ),
    Case("the loss is nan", "loss-nan", "Loss is nan, stopping training\n", "Loss is nan"),
    Case(
        "Megatron: nan",
        "loss-nan",
        raised("AssertionError: Rank 3: found NaN in local forward loss calculation. Device: 3, node: worker-0"),
        "NaN",
    ),
    Case(
        "anomaly detection",
        "loss-nan",
        raised("RuntimeError: Function 'PowBackward0' returned nan values in its 0th output."),
        "PowBackward0",
    ),
    Case(
        "DeepSpeed's scale",
        "loss-nan",
        raised("Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run."),
        "minimum",
    ),
    Case(
        "sampling nan",
        "loss-nan",
        raised("RuntimeError: probability tensor contains either `inf`, `nan` or element < 0"),
        "probability tensor",
    ),
    Case(
        "a lambda",
        "not-picklable",
        raised("AttributeError: Can't pickle local object 'make_loader.<locals>.<lambda>'"),
        "Can't pickle",
    ),
    Case("a lock", "not-picklable", raised("TypeError: cannot pickle '_thread.lock' object"), "_thread.lock"),
    Case(
        "no guard",
        "main-not-guarded",
        raised(
            "RuntimeError: \n        An attempt has been made to start a new process before the\n        current process has finished its bootstrapping phase.\n\n        This probably means that you are not using fork to start your\n        child processes and you have forgotten to use the proper idiom\n        in the main module:\n\n            if __name__ == '__main__':\n                freeze_support()\n                ..."
        ),
        "start a new process",
    ),
    Case(
        "CUDA in a fork",
        "cuda-in-fork",
        raised(
            "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use the 'spawn' start method"
        ),
        "forked subprocess",
    ),
    Case(
        "NPU in a fork",
        "cuda-in-fork",
        raised(
            "RuntimeError: Cannot re-initialize NPU in forked subprocess. To use NPU with multiprocessing, you must use the 'spawn' start method"
        ),
        "forked subprocess",
    ),
    Case(
        "too deep",
        "stack-overflow",
        'Traceback (most recent call last):\n  File "/job/tree.py", line 4, in walk\n    return walk(node)\n  File "/job/tree.py", line 4, in walk\n    return walk(node)\n  [Previous line repeated 996 more times]\nRecursionError: maximum recursion depth exceeded\n',
        "RecursionError",
    ),
    Case(
        "Ctrl-C",
        "interrupted",
        'Traceback (most recent call last):\n  File "/job/train.py", line 40, in <module>\n    time.sleep(1)\nKeyboardInterrupt\n',
        "KeyboardInterrupt",
        status=130,
    ),
    Case("an assertion", "assertion", raised("AssertionError: batch must be divisible by 8"), "divisible by 8"),
    Case(
        "glog's check",
        "assertion",
        "F1127 10:00:01.123456   141 data_reader.cc:88] Check failed: n > 0 (0 vs. 0) empty shard\n*** Check failure stack trace: ***\n    @     0x7f  google::LogMessage::Fail()\n",
        "Check failed",
        status=None,
        signal=6,
    ),
    Case(
        "a shape",
        "python-exception",
        raised(
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (32x784 and 512x10)",
            within=f"{_SITE}/torch/nn/modules/linear.py",
        ),
        "mat1 and mat2",
    ),
    Case("a key", "python-exception", raised("KeyError: 'pixel_values'"), "pixel_values"),
    Case(
        "two devices",
        "python-exception",
        raised(
            "RuntimeError: Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"
        ),
        "same device",
    ),
    Case(
        "unused parameters",
        "python-exception",
        raised(
            "RuntimeError: Expected to have finished reduction in the prior iteration before starting a new one. This error indicates that your module has parameters that were not used in producing loss."
        ),
        "finished reduction",
    ),
    Case(
        "stopped by its own message",
        "command-failed",
        "loading corpus\nFATAL: vocabulary of 50257 does not match the embedding of 50304, giving up\n",
        "does not match the embedding",
        status=3,
        in_ranks=False,
    ),
    Case(
        "not a word", "ended-silently", "epoch 1: loss 2.30\nepoch 2: loss 2.28\n", "epoch 2", status=1, in_ranks=False
    ),
    Case(
        "timeout of coreutils", "timed-out", "epoch 1: loss 2.30\nepoch 2: loss 2.28\n", "", status=124, in_ranks=False
    ),
    Case("a closed pipe", "broken-pipe", raised("BrokenPipeError: [Errno 32] Broken pipe"), "Broken pipe"),
]
