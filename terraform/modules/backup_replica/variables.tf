variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "source_db_instance_arn" {
  description = "Database instance whose automated backups are replicated into this Region."
  type        = string
}

variable "retention_days" {
  description = "How far back a point-in-time restore in this Region reaches."
  type        = number
}

variable "deletion_protection" {
  description = "Keep the key as long as AWS can when the replica is switched off: without it no replicated backup can be restored."
  type        = bool
}
