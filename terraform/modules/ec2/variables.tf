variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "image" {
  description = "Container image by digest, <registry>/<repository>@sha256:<64 hex digits>."
  type        = string
}

variable "ami_id" {
  description = "Machine image; null is the newest Amazon Linux 2023."
  type        = string
  default     = null
}

variable "repository_arn" {
  description = "ECR repository the instances may pull from."
  type        = string
}

variable "db_secret_arn" {
  description = "Secret with the database's address and credentials."
  type        = string
}

variable "log_group" {
  description = "Log group of the application."
  type        = object({ name = string, arn = string })
}

variable "subnet_ids" {
  description = "Private subnets, one per zone."
  type        = list(string)
}

variable "security_group_id" {
  description = "Group of the instances."
  type        = string
}

variable "target_group" {
  description = "Where the instances register: ARN, port, and the label of its request metric."
  type        = object({ arn = string, port = number, resource_label = string })
}

variable "instance_type" {
  description = "Size of an instance."
  type        = string
}

variable "capacity" {
  description = "Fewest and most instances; the first apply waits until the fewest are healthy."
  type        = object({ min = number, max = number })
}

variable "instance_warmup_seconds" {
  description = "How long a new instance's metrics are left out of scaling decisions and refreshes."
  type        = number
}
