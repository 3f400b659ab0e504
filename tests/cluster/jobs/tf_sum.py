"""all_reduce of 4 MB with tf.distribute on CPUs. Writes place, world and the sum into the directory on argv."""

import json
import os
import sys

import tensorflow as tf

early = tf.distribute.experimental
ring = early.CommunicationOptions(implementation=early.CommunicationImplementation.RING)
strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=ring)
config = json.loads(os.environ["TF_CONFIG"])
chiefs = len(config["cluster"].get("chief", []))
place = config["task"]["index"] + (chiefs if config["task"]["type"] == "worker" else 0)


@tf.function
def summed():
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.fill([1_000_000], place + 1.0))


many = strategy.run(summed)
with open(os.path.join(sys.argv[1], f"rank-{place}"), "w") as out:
    out.write(f"{strategy.num_replicas_in_sync} {float(many[0]):g}")
