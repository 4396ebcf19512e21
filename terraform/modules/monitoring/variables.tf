variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "alert_email" {
  description = "Who is told; both topics write to it."
  type        = string
}

variable "alb_arn_suffix" {
  description = "CloudWatch dimension of the load balancer."
  type        = string
}

variable "target_group_arn_suffix" {
  description = "CloudWatch dimension of the target group."
  type        = string
}

variable "asg_name" {
  description = "Auto Scaling group."
  type        = string
}

variable "db_identifier" {
  description = "Database instance."
  type        = string
}

variable "db_max_connections" {
  description = "PostgreSQL's max_connections; the alarm stands at 80 % of it."
  type        = number
}

variable "error_metric" {
  description = "Metric that counts the errors logged."
  type        = object({ namespace = string, name = string })
}

variable "ssl_certificate_arn" {
  description = "Certificate whose expiry is watched; null watches none."
  type        = string
  default     = null
}
