"""Says who it is: what a training on several nodes would make of its environment."""

import os
import sys

print("node", os.environ["BOOTSTRAP_NODE_RANK"], "of", os.environ["BOOTSTRAP_NNODES"], "in", os.getcwd(), *sys.argv[1:])
