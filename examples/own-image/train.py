import os

print("trained as", os.getuid(), os.getgid())
