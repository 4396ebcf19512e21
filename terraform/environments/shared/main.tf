provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = var.project_name
      Environment = "shared"
      ManagedBy   = "terraform"
    }
  }
}

# One repository for the whole account: dev's image is promoted to prod by its digest, never rebuilt.
module "ecr" {
  source        = "../../modules/ecr"
  name          = var.project_name
  releases_kept = var.releases_kept
}

# Off until somebody gives it a network. It is here because one worker serves every environment, and its network is
# given because the runs rebuild the environments' own: what they stand on must not be what they take down.
module "worker_repository" {
  source        = "../../modules/ecr"
  for_each      = toset(var.worker == null ? [] : ["main"])
  name          = "${var.project_name}-runbook"
  releases_kept = var.releases_kept
}

module "worker" {
  source          = "../../modules/worker"
  for_each        = toset(local.worker_runs ? ["main"] : [])
  name            = "${var.project_name}-runbook"
  project_name    = var.project_name
  image           = var.worker.image
  repository_arn  = module.worker_repository["main"].repository_arn
  vpc_id          = var.worker.vpc_id
  subnet_ids      = var.worker.subnet_ids
  prefect_api_url = var.worker.prefect_api_url
  prefect_login   = var.worker.prefect_login
  run_size        = var.worker.run_size
  retention_days  = var.worker.retention_days
}

module "outputs" {
  source       = "../../modules/outputs"
  project_name = var.project_name
  environment  = "shared"
  values       = local.outputs
}
