# A string is written as it is, anything else as JSON.
resource "aws_ssm_parameter" "main" {
  for_each    = var.values
  name        = "/${var.project_name}/${var.environment}/${each.key}"
  description = "Mirror of the Terraform output ${each.key}; changed by terraform apply only."
  type        = "String"
  value       = try(tostring(each.value), jsonencode(each.value))
}
