"""What is at an output's URL: manifests, claims, the keys of the contents, and what is sent there."""
