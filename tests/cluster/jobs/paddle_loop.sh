# What people write for PaddlePaddle on ModelArts: the hosts of all nodes out of numbered variables, by eval. The old
# launcher's flags (--cluster_node_ips, --node_ip) are gone from today's, so the endpoints go to the program itself.
hosts=""
for i in $(seq 0 $[DLS_TASK_NUMBER-1])
do
    key=BATCH_CUSTOM${i}_HOSTS
    if [[ $i == $[DLS_TASK_NUMBER-1] ]]; then
        hosts="${hosts}$(eval echo '$'$key)"
    else
        hosts="${hosts}$(eval echo '$'$key),"
    fi
done
export PADDLE_TRAINER_ENDPOINTS=${hosts}
export PADDLE_CURRENT_ENDPOINT=${BATCH_CURRENT_HOST}
export PADDLE_TRAINERS_NUM=${DLS_TASK_NUMBER}
export PADDLE_TRAINER_ID=${DLS_TASK_INDEX}
python "$@"
