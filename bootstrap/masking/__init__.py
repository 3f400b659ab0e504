"""What must never be shown: the registry of secret values, and the masker that keeps them out of every stream."""
