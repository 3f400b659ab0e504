"""A training that goes on from its last checkpoint, saves one when it is asked to stop, and is killed in between."""

import json
import os
import signal
import sys
import time

output = os.environ["BOOTSTRAP_OUTPUT_DIR"]
os.makedirs(output, exist_ok=True)
step, asked = 0, False
for place in (output, "checkpoint"):  # an earlier life's in this container, or what was fetched from the store
    if os.path.exists(os.path.join(place, "step.json")):
        with open(os.path.join(place, "step.json")) as file:
            step = json.load(file)["step"]
        print("going on from step", step)
        break


def stop(number, frame):
    global asked
    asked = True


signal.signal(signal.SIGTERM, stop)
while step < 20 and not asked:
    step += 1
    time.sleep(0.02)
    if step == 10 and not os.path.exists("checkpoint"):
        os.kill(os.getppid(), signal.SIGTERM)  # the platform wants its machine back
with open(os.path.join(output, "step.json.new"), "w") as file:
    json.dump({"step": step}, file)
os.rename(os.path.join(output, "step.json.new"), os.path.join(output, "step.json"))  # whole, or the one before
print("saved step", step)
sys.exit(0 if step == 20 else 143)
