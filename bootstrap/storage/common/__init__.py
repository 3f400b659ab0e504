"""What transfers of every kind share: workers, retries, the rate of requests, progress."""
