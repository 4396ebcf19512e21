variable "name" {
  description = "Name of the repository."
  type        = string
}

variable "releases_kept" {
  description = "How many releases stay available for a rollback."
  type        = number

  validation {
    condition     = var.releases_kept >= 10
    error_message = "Keep at least 10 releases: a rollback needs its image, and dev may be far ahead of prod."
  }
}
