variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "vpc_id" {
  description = "VPC the groups belong to."
  type        = string
}

variable "allowed_cidr_blocks" {
  description = "Ranges that may open the load balancer's ports 80 and 443."
  type        = list(string)
}

variable "private_subnet_cidrs" {
  description = "Ranges of the instances."
  type        = list(string)
}

variable "database_subnet_cidrs" {
  description = "Ranges of the database."
  type        = list(string)
}

variable "app_port" {
  description = "Port the application listens on."
  type        = number
}

variable "runbook_cidr_blocks" {
  description = "Ranges of the runbook's runs, which may reach the database; none by default."
  type        = list(string)
  default     = []
}
