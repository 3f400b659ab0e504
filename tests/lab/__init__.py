"""The laboratory: real stores, hosts and containers for the tests, started without touching the machine."""
