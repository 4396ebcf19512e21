variable "project_name" {
  description = "First part of the parameters' path."
  type        = string
}

variable "environment" {
  description = "Second part of the parameters' path."
  type        = string
}

variable "values" {
  description = "The environment's outputs by name; the names must be known when planning."
  type        = any
}
