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

variable "worker" {
  description = "A Prefect worker on ECS: the private subnets that it and its runs work in, and the server it asks. Without an image only its repository is made."
  type = object({
    vpc_id          = string
    subnet_ids      = list(string)
    prefect_api_url = string
    prefect_login   = optional(string, "PREFECT_API_AUTH_STRING")
    image           = optional(string)
    run_size        = optional(object({ cpu = number, memory = number }), { cpu = 1024, memory = 4096 })
    retention_days  = optional(number, 30)
  })
  default = null

  validation {
    condition     = var.worker == null || try(length(var.worker.subnet_ids) >= 2, false)
    error_message = "Give subnets of at least two zones: a worker that is alone in one is lost with it."
  }

  validation {
    condition     = var.worker == null || can(regex("^https?://[^/]+/.*api", var.worker.prefect_api_url))
    error_message = "The server's API is an address such as https://prefect.example.com/api."
  }

  validation {
    condition     = try(var.worker.image, null) == null || can(regex("^[^@\\s]+@sha256:[0-9a-f]{64}$", var.worker.image))
    error_message = "The image must be given by digest, <registry>/<repository>@sha256:<64 hex digits>."
  }
}
