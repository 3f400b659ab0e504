"""Buckets: the fast path for what is usual, boto3 for all the rest."""
