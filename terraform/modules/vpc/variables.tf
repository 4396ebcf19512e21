variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "cidr_block" {
  description = "Address range of the VPC, a /16."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr_block, 0)) && endswith(var.cidr_block, "/16")
    error_message = "The VPC's range must be a /16 such as 10.0.0.0/16."
  }
}

variable "az_count" {
  description = "Number of availability zones."
  type        = number

  validation {
    condition     = contains([2, 3], var.az_count)
    error_message = "The load balancer and the database subnet group need 2 zones, the region has 3."
  }
}

variable "nat_gateway_per_az" {
  description = "One NAT gateway per zone (a zone's failure stays in it) instead of one for all (cheaper)."
  type        = bool
}
