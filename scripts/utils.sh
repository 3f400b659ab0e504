# shellcheck shell=bash
# The functions that derived boot scripts `source`, under their old names and with their old arguments, over the package.
#
#   unset_job_env_except_self [JOB_ID]   remove what other people's jobs left in the environment; also unset_job_env
#   decrypt_dls_aes_env                  export NAME, decrypted, for every DLS_AES__NAME
#   dls_fix_dns                          name resolution over TCP where DLS_USE_DNS_TCP asks for it
#   dls_create_log LOG                   make an empty log file, readable for everybody
#   dls_logger LOG [append]              write stdin to a log file; without a name, discard it
#   dls_get_app URL                      the code into the current directory, below its last directory name
#   dls_upload_log LOG URL               a log file to URL/dls-log-<job>/, replacing what is there
#   dls_upload_train DIR URL             the content of a directory to URL/
#   dls_get_executor FILE                print the interpreter of a boot file: python for .py, bash for .sh
#
# A transfer that fails returns 255, as modelarts-downloader.py does. New here: dls_bootstrap ARG... runs the package's
# own command, and DLS_UTILS_DIR is the directory of this file. Nothing else is defined: the functions with a body in
# round brackets run in a subshell, so that their variables and umask stay their own. Works under set -e and set -u.

DLS_UTILS_DIR=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE:-$0}")" && pwd -P)

dls_bootstrap() (
    exec /bin/sh "$DLS_UTILS_DIR/run_bootstrap.sh" "$@"
)

unset_job_env_except_self() {
    eval "$(DLS_JOB_ID="${1:-}" dls_bootstrap env --format sh --only removed || echo "return $?")"
}

unset_job_env() {
    unset_job_env_except_self
}

decrypt_dls_aes_env() {
    eval "$(dls_bootstrap env --format sh --only decrypted || echo "return $?")"
}

# Which of the two decryptors is meant is known from the environment.
decrypt_dls_aes_env_by_decryptor() { decrypt_dls_aes_env; }
decrypt_dls_aes_env_by_key_client() { decrypt_dls_aes_env; }

dls_fix_dns() {
    if [ "${DLS_USE_DNS_TCP:-0}" = 0 ]; then
        return 0
    elif command -v dls-dns-fixer >/dev/null; then
        dls-dns-fixer
    else
        export RES_OPTIONS="${RES_OPTIONS:+$RES_OPTIONS }use-vc" # what glibc's own resolver understands
    fi
}

dls_create_log() (
    umask 0022
    if [ -z "${1:-}" ]; then
        exit 0
    elif command -v modelarts-pipe >/dev/null; then
        modelarts-pipe "$1" create
    else
        mkdir -p -- "$(dirname -- "$1")" && touch -- "$1"
    fi
)

dls_logger() (
    umask 0022
    if [ -z "${1:-}" ]; then
        cat >/dev/null
    elif command -v modelarts-pipe >/dev/null; then
        modelarts-pipe "$1" ${2:+"$2"}
    elif ! dls_create_log "$1" || ! [ -w "$1" ]; then
        # Its writer must not die of a broken pipe for the want of a log file.
        echo "dls_logger: $1 cannot be written; what was for it follows here" >&2
        cat
    elif [ "${2:-}" = append ]; then
        cat >>"$1"
    else
        cat >"$1"
    fi
)

dls_get_app() (
    if [ -z "${1:-}" ]; then
        echo "dls_get_app: no code directory was chosen for this job: nothing to fetch"
    elif [ "${DLS_USE_DOWNLOADER:-0}" = 0 ]; then
        cp -av -- "$1" ./
    else
        dls_bootstrap downloader --recursive --src "$1" --dst ./
    fi
)

dls_upload_log() (
    dls_bootstrap downloader --src "$1" --dst "${2%/}/dls-log-${DLS_DLKS_JOB_ID:-unknown-id}/"
)

dls_upload_train() (
    dls_bootstrap downloader --recursive --skip-creating-dir --src "$1" --dst "$2"
)

dls_get_executor() (
    case $(printf %s "${1##*/}" | tr '[:upper:]' '[:lower:]') in
        *.py | *.pyc | *.pyw | *.pyo | *.pyd) command -v python || command -v python3 ;;
        *.sh) command -v bash ;;
    esac
)
