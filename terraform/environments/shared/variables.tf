variable "project_name" {
  description = "Name of the project and of its repository."
  type        = string
  default     = "demo-flask-app"
}

variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-north-1"
}

variable "releases_kept" {
  description = "How many releases stay available for a rollback."
  type        = number
  default     = 30
}
