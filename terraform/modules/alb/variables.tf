variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the targets."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, one per zone."
  type        = list(string)
}

variable "security_group_id" {
  description = "Group of the load balancer."
  type        = string
}

variable "app_port" {
  description = "Port the application listens on."
  type        = number
}

variable "ssl_certificate_arn" {
  description = "ACM certificate of the HTTPS listener; null serves HTTP only."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Refuse to delete the load balancer."
  type        = bool
}
