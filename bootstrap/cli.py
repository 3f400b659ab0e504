"""To come in this same change."""
