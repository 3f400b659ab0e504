"""From local bytes to the store: what the job leaves behind. Everything here reports and never raises for one file."""
