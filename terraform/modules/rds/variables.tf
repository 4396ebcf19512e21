variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "identifier" {
  description = "Identifier of the instance where it is not <name>-db: of a recovered one that was not renamed."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Database subnets, one per zone."
  type        = list(string)
}

variable "security_group_id" {
  description = "Group of the database."
  type        = string
}

variable "instance_class" {
  description = "Size of the database instance."
  type        = string
}

variable "multi_az" {
  description = "Keep a standby in another zone."
  type        = bool
}

variable "engine_version" {
  description = "PostgreSQL 15 minor version."
  type        = string
}

variable "max_connections" {
  description = "PostgreSQL's max_connections."
  type        = number
}

variable "retention_days" {
  description = "How far back a point-in-time restore reaches, and how long the exported database logs are kept."
  type        = object({ backups = number, logs = number })
}

variable "deletion_protection" {
  description = "Refuse to delete the database; when it goes all the same, keep a snapshot and the secret."
  type        = bool
}

variable "password" {
  description = "First password of the user postgres; never stored by Terraform."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "password_version" {
  description = "Raise it to write the given password again."
  type        = number
}
