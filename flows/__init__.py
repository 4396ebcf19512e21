"""The runbook's table of contents: one file is one procedure."""
