"""Where things come from and go to: URLs, stores, and the one engine that moves bytes between them."""
