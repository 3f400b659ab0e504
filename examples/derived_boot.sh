#!/bin/bash
# A boot script of one's own, in the manner of those that people derived from the old run_train.sh: it stands beside
# utils.sh in the image and is started as `bash derived_boot.sh COMMAND [ARG...]`. It goes on working unchanged;
# tests/scripts runs this very file. For a new job, prefer `bootstrap run --output DIR=URL -- COMMAND`, which does all
# of this and also survives signals, full disks and killed nodes.

DLS_USER_HOME_DIR="$(cd "$(dirname "$0")" && pwd -P)"
DLS_USER_JOB_DIR="$DLS_USER_HOME_DIR/user-job-dir"
cd "$DLS_USER_HOME_DIR" || exit 1
export PYTHONPATH="$DLS_USER_JOB_DIR:$PYTHONPATH"
export PYTHONUNBUFFERED=1

# shellcheck source=scripts/utils.sh
source utils.sh
dls_fix_dns
unset_job_env_except_self "$DLS_JOB_ID"
decrypt_dls_aes_env

log_url="${LOG_DIR:-/tmp}/dls-task-$DLS_TASK_INDEX.log"
downloader_log="${LOG_DIR:-/tmp}/dls-downloader.log"
cache="${DLS_LOCAL_CACHE_PATH:-/home/cache}"

mkdir -p "$DLS_USER_JOB_DIR" && cd "$DLS_USER_JOB_DIR" || exit 1
dls_create_log "$log_url"
tail -F "$log_url" &
trap 'kill %1' EXIT

dls_get_app "$DLS_APP_URL" 2>&1 | tee "$downloader_log"
if [ "${PIPESTATUS[0]}" = 0 ]; then
    stdbuf -oL -eL "$@" 2>&1 | dls_logger "$log_url"
    train_result=${PIPESTATUS[0]}
else
    (echo "App download error: " && cat "$downloader_log") | dls_logger "$log_url"
    train_result=127
fi

# The part that people added: models from the local disk to the output URL, whatever became of the training.
if [ -n "$DLS_TRAIN_URL" ]; then
    dls_upload_train "$cache" "$DLS_TRAIN_URL" 2>&1
    echo "upload result: $?"
fi

if [ "${DLS_USE_UPLOADER:-0}" != 0 ]; then
    dls_upload_log "$log_url" "$DLS_UPLOAD_LOG_OBS_DIR" 2>&1 | tee -a "$downloader_log"
    if [ "${PIPESTATUS[0]}" != 0 ]; then
        (echo "Log upload error: " && cat "$downloader_log") | dls_logger "$log_url" append
    fi
fi
exit "$train_result"
