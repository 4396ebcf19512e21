variable "name" {
  description = "Name of the cluster, and prefix of every other name."
  type        = string
}

variable "project_name" {
  description = "Name of the project: what the runs' role may touch by name begins with it."
  type        = string
}

variable "image" {
  description = "Image of the Dockerfile's target worker, by digest. The worker and its runs are the same code."
  type        = string
}

variable "repository_arn" {
  description = "Repository that the image is pulled from."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the subnets."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of the worker and its runs, with a way out and a way to the Prefect server."
  type        = list(string)
}

variable "prefect_api_url" {
  description = "The Prefect server's API, https://<host>/api."
  type        = string
}

variable "prefect_login" {
  description = "How the server knows its workers: the variable that the secret's value becomes."
  type        = string

  validation {
    condition     = contains(["PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"], var.prefect_login)
    error_message = "A server of one's own takes a PREFECT_API_AUTH_STRING, Prefect Cloud a PREFECT_API_KEY."
  }
}

variable "run_size" {
  description = "CPU units and MiB of memory of one run, as Fargate pairs them."
  type        = object({ cpu = number, memory = number })
}

variable "retention_days" {
  description = "How long the output of the worker and its runs is kept; a run's own log is on the Prefect server."
  type        = number
}
