variable "project_name" {
  description = "Name of the project; with the environment the prefix of every name."
  type        = string
  default     = "demo-flask-app"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.project_name))
    error_message = "A project's name has 3 to 20 lower-case letters, digits and hyphens: AWS cuts the names built from it at 32."
  }
}

variable "environment" {
  description = "Name of the environment."
  type        = string

  validation {
    condition     = contains(["dev", "prod"], var.environment)
    error_message = "The environment must be dev or prod."
  }
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-north-1"
}

# --- network

variable "vpc_cidr" {
  description = "Address range of the VPC, a private /16."
  type        = string

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && can(regex("^(10|172|192)\\..*/16$", var.vpc_cidr))
    error_message = "The VPC's range must be a private /16 such as 10.0.0.0/16."
  }
}

variable "az_count" {
  description = "Number of availability zones."
  type        = number

  validation {
    condition     = contains([2, 3], var.az_count)
    error_message = "The load balancer and the database subnet group need 2 zones, the region has 3."
  }
}

variable "nat_gateway_per_az" {
  description = "One NAT gateway per zone (a zone's failure stays in it) instead of one for all (cheaper)."
  type        = bool
}

variable "allowed_cidr_blocks" {
  description = "Ranges that may open the load balancer's ports 80 and 443; dev is never open to the world."
  type        = list(string)

  validation {
    condition = length(var.allowed_cidr_blocks) > 0 && alltrue([
      for block in var.allowed_cidr_blocks : can(cidrhost(block, 0)) && !strcontains(block, ":")
    ])
    error_message = "Give at least one IPv4 range such as 203.0.113.0/24."
  }

  validation {
    condition     = var.environment == "prod" || !anytrue([for block in var.allowed_cidr_blocks : endswith(block, "/0")])
    error_message = "Only prod may be open to the world."
  }
}

variable "runbook_cidr_blocks" {
  description = "Private ranges in which the runbook's runs work when they are not in this VPC: they may reach the database. A person peers the two."
  type        = list(string)
  default     = []

  validation {
    condition = alltrue([
      for block in var.runbook_cidr_blocks : can(cidrhost(block, 0)) && can(regex("^(10|172|192)\\..*/(1[6-9]|2[0-9])$", block))
    ])
    error_message = "Give private ranges of /16 to /29 such as 10.20.0.0/24."
  }
}

variable "domain_name" {
  description = "Name the certificate stands for and users type."
  type        = string

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain_name))
    error_message = "The domain must be a DNS name such as app.example.com."
  }
}

variable "ssl_certificate_arn" {
  description = "ACM certificate of the HTTPS listener; null serves HTTP only."
  type        = string
  default     = null

  validation {
    condition     = var.ssl_certificate_arn == null || can(regex("^arn:aws[a-z-]*:acm:${var.region}:[0-9]{12}:certificate/", var.ssl_certificate_arn))
    error_message = "Give the ARN of an ACM certificate in the environment's own region, or null."
  }
}

# --- application

variable "ami_id" {
  description = "Machine image of the instances; null is the newest Amazon Linux 2023. The flows give what runs: only patching moves it."
  type        = string
  default     = null

  validation {
    condition     = var.ami_id == null || can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id must be null or ami- and 8 to 17 hex digits."
  }
}

variable "image" {
  description = "Container image by digest, <registry>/<project>@sha256:<64 hex digits>. No default: it is what runs, not what was once written down."
  type        = string

  validation {
    condition     = can(regex("^[^/@\\s]+(/[^/@\\s]+)*/${var.project_name}@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must be given by digest, <registry>/${var.project_name}@sha256:<64 hex digits>: a tag does not say what will run."
  }
}

variable "instance_type" {
  description = "Size of an instance."
  type        = string
}

variable "asg_min_size" {
  description = "Fewest instances."
  type        = number

  validation {
    condition     = var.asg_min_size >= 1
    error_message = "At least one instance must run."
  }
}

variable "asg_max_size" {
  description = "Most instances; at least one above the fewest, so that a refresh can launch before it terminates."
  type        = number

  validation {
    condition     = var.asg_max_size > var.asg_min_size
    error_message = "asg_max_size must be above asg_min_size: a refresh launches before it terminates."
  }
}

variable "instance_warmup_seconds" {
  description = "How long a new instance's metrics are left out of scaling decisions and refreshes."
  type        = number
}

# --- database

variable "db_identifier" {
  description = "Identifier of the database instance; null is <project>-<environment>-db. The flows give what serves: only a recovery moves it."
  type        = string
  default     = null
}

variable "db_instance_class" {
  description = "Size of the database instance."
  type        = string
}

variable "db_multi_az" {
  description = "Keep a standby of the database in another zone."
  type        = bool
}

variable "db_engine_version" {
  description = "PostgreSQL 15 minor version."
  type        = string
  default     = "15.8"

  validation {
    condition     = can(regex("^15\\.[0-9]+$", var.db_engine_version))
    error_message = "The version must be a PostgreSQL 15 minor version such as 15.8; the parameter group is of family postgres15."
  }
}

variable "db_max_connections" {
  description = "PostgreSQL's max_connections; the alarm stands at 80 % of it."
  type        = number

  validation {
    condition     = var.db_max_connections >= 50 && var.db_max_connections <= 1000
    error_message = "Between 50 and 1000: each connection costs memory, and RDS itself needs a few."
  }
}

variable "backup_retention_days" {
  description = "How far back a point-in-time restore reaches."
  type        = number

  validation {
    condition     = var.backup_retention_days >= 1 && var.backup_retention_days <= 35
    error_message = "Between 1 and 35 days; 0 would switch point-in-time recovery off."
  }
}

variable "backup_replica" {
  description = "Replicate the automated backups into another Region, for the loss of this one. Switched off, the key there is deleted: cancel that to restore from what stays."
  type        = bool
  default     = false
}

variable "backup_replica_region" {
  description = "Region of the replicated backups, one that RDS replicates to from here. Switch backup_replica off before it is changed, or what is in the old one is forgotten there."
  type        = string
  default     = "eu-west-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.backup_replica_region)) && var.backup_replica_region != var.region
    error_message = "The replica must be in another Region than the database, such as eu-west-1."
  }
}

variable "db_password" {
  description = "First password of the user postgres, as TF_VAR_db_password; needed when the database is made or db_password_version rises."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "db_password_version" {
  description = "Raise it to write the given password again."
  type        = number
  default     = 1
}

# --- operations

variable "alert_email" {
  description = "Who is told of alarms."
  type        = string

  validation {
    condition     = can(regex("^[^@\\s]+@[^@\\s]+$", var.alert_email))
    error_message = "Alarms need an e-mail address."
  }
}

variable "log_retention_days" {
  description = "How long the application's and the database's logs are kept; one of the periods CloudWatch knows."
  type        = number
}

variable "deletion_protection" {
  description = "Refuse to delete the load balancer, the database, and the bucket of its exports while anything is in it."
  type        = bool

  validation {
    condition     = var.environment != "prod" || var.deletion_protection
    error_message = "prod is always protected; to take it down, first change this rule in a reviewed commit."
  }
}
