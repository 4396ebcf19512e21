"""What a Prefect server must have before prefect.yaml works, applied idempotently: `python -m deployments`."""
