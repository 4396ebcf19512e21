output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.main.bucket
}

# Who learns of the role may use it at once: hence the depends_on.
output "export_role_arn" {
  description = "Role with which RDS writes exports into the bucket."
  value       = aws_iam_role.export.arn
  depends_on  = [aws_iam_role_policy.export]
}

output "key_arn" {
  description = "Key that encrypts what is in the bucket."
  value       = aws_kms_key.main.arn
}
