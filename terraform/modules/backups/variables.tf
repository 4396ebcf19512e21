variable "name" {
  description = "Prefix of every name, <project>-<environment>."
  type        = string
}

variable "deletion_protection" {
  description = "Keep the bucket's key as long as AWS can; the bucket itself is never deleted with anything in it."
  type        = bool
}
