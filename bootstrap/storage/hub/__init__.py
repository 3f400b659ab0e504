"""``hf://``: one revision of a model or data set of a Hugging Face hub, or of a mirror."""
