"""Look for the best run: what is searched, how, and what is known of the trials."""
