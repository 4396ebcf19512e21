provider "aws" {
  region = var.region

  default_tags {
    tags = {
      Project     = var.project_name
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }

  # What the procedures write on a resource is theirs.
  ignore_tags {
    key_prefixes = ["runbook:"]
  }
}

# Where the backups are replicated to. It follows its own variable and not the flag: what is switched off there must
# still be found there.
provider "aws" {
  alias  = "replica"
  region = var.backup_replica_region

  default_tags {
    tags = {
      Project     = var.project_name
      Environment = var.environment
      ManagedBy   = "terraform"
    }
  }
}

locals {
  name     = "${var.project_name}-${var.environment}"
  app_port = 5000
}

# Made by environments/shared, which is applied first.
data "aws_ecr_repository" "main" {
  name = var.project_name
}

module "vpc" {
  source             = "../../modules/vpc"
  name               = local.name
  cidr_block         = var.vpc_cidr
  az_count           = var.az_count
  nat_gateway_per_az = var.nat_gateway_per_az
}

module "security" {
  source                = "../../modules/security"
  name                  = local.name
  vpc_id                = module.vpc.vpc_id
  allowed_cidr_blocks   = var.allowed_cidr_blocks
  private_subnet_cidrs  = module.vpc.private_subnet_cidrs
  database_subnet_cidrs = module.vpc.database_subnet_cidrs
  app_port              = local.app_port
  runbook_cidr_blocks   = var.runbook_cidr_blocks
}

module "alb" {
  source              = "../../modules/alb"
  name                = local.name
  vpc_id              = module.vpc.vpc_id
  subnet_ids          = module.vpc.public_subnet_ids
  security_group_id   = module.security.alb_security_group_id
  app_port            = local.app_port
  ssl_certificate_arn = var.ssl_certificate_arn
  deletion_protection = var.deletion_protection
}

module "rds" {
  source              = "../../modules/rds"
  name                = local.name
  identifier          = var.db_identifier
  subnet_ids          = module.vpc.database_subnet_ids
  security_group_id   = module.security.db_security_group_id
  instance_class      = var.db_instance_class
  multi_az            = var.db_multi_az
  engine_version      = var.db_engine_version
  max_connections     = var.db_max_connections
  retention_days      = { backups = var.backup_retention_days, logs = var.log_retention_days }
  deletion_protection = var.deletion_protection
  password            = var.db_password
  password_version    = var.db_password_version
}

module "backups" {
  source              = "../../modules/backups"
  name                = local.name
  deletion_protection = var.deletion_protection
}

module "backup_replica" {
  source                 = "../../modules/backup_replica"
  for_each               = toset(var.backup_replica ? ["main"] : [])
  providers              = { aws = aws.replica }
  name                   = local.name
  source_db_instance_arn = module.rds.arn
  retention_days         = var.backup_retention_days
  deletion_protection    = var.deletion_protection
}

module "logs" {
  source         = "../../modules/logs"
  name           = local.name
  retention_days = var.log_retention_days
}

module "ec2" {
  source                  = "../../modules/ec2"
  name                    = local.name
  image                   = var.image
  ami_id                  = var.ami_id
  repository_arn          = data.aws_ecr_repository.main.arn
  db_secret_arn           = module.rds.secret_arn
  log_group               = module.logs.log_group
  subnet_ids              = module.vpc.private_subnet_ids
  security_group_id       = module.security.app_security_group_id
  target_group            = module.alb.target_group
  instance_type           = var.instance_type
  capacity                = { min = var.asg_min_size, max = var.asg_max_size }
  instance_warmup_seconds = var.instance_warmup_seconds
}

module "monitoring" {
  source                  = "../../modules/monitoring"
  name                    = local.name
  alert_email             = var.alert_email
  alb_arn_suffix          = module.alb.arn_suffix
  target_group_arn_suffix = module.alb.target_group.arn_suffix
  asg_name                = module.ec2.asg_name
  db_identifier           = module.rds.identifier
  db_max_connections      = var.db_max_connections
  error_metric            = module.logs.error_metric
  ssl_certificate_arn     = var.ssl_certificate_arn
}

module "outputs" {
  source       = "../../modules/outputs"
  project_name = var.project_name
  environment  = var.environment
  values       = local.outputs
}
