# What PaddlePaddle's own guide has people write for ModelArts, line by line: the hosts of all nodes out of numbered
# variables, by eval, for the flags that Paddle's launcher had when the guide was written.
if [[ ${DLS_TASK_NUMBER} == 1 ]]; then
    python -m paddle.distributed.launch --selected_gpus=0,1,2,3,4,5,6,7 --log_dir mylog "$@"
else
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
    echo "the loop found ${hosts}"

    python -m paddle.distributed.launch \
        --cluster_node_ips=${hosts} \
        --node_ip=${BATCH_CURRENT_HOST} \
        --started_port=${BATCH_CURRENT_PORT} \
        --selected_gpus=0,1,2,3,4,5,6,7 \
        "$@"
fi
