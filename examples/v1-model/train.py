"""A Keras-like training, as people have it on ModelArts v1. It writes its model to a directory, and that is all.

It used to end in twenty lines of boto3 that uploaded the model, with keys in the source. Now what is in
$BOOTSTRAP_OUTPUT_DIR arrives at the job's training output path (DLS_TRAIN_URL), a crash notwithstanding.
"""

import argparse
import json
import os

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
arguments = parser.parse_args()

weight, rate = 0.0, 0.1  # y = 3x, learnt from four points
for epoch in range(arguments.epochs):
    loss = 0.0
    for x in (1.0, 2.0, 3.0, 4.0):
        error = weight * x - 3 * x
        loss += error * error
        weight -= rate * error * x / 4
    print(f"Epoch {epoch + 1}/{arguments.epochs} - loss: {loss / 4:.4f}")

directory = os.environ.get("BOOTSTRAP_OUTPUT_DIR", "out")
os.makedirs(directory, exist_ok=True)
with open(os.path.join(directory, "model.json"), "w") as file:
    json.dump({"weight": weight}, file)
