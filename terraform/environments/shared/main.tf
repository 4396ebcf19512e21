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
