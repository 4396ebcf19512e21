"""The runbook as a document: the page that is written from the flows, and a linter for runbooks that are not."""
