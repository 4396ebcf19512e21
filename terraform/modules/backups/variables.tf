variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "deletion_protection" {
  description = "Refuse to delete the bucket while anything is in it, and keep its key as long as AWS can."
  type        = bool
}
