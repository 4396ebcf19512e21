variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "retention_days" {
  description = "How long the application's logs are kept."
  type        = number
}
