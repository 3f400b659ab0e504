#!/bin/bash
# As the guide prints it: the launcher in a script, which takes the nodes from its environment.
python -m paddle.distributed.launch "$(dirname -- "$0")/train.py"
