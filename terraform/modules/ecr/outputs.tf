output "repository_url" {
  description = "Registry and repository, to which @sha256:<digest> is appended."
  value       = aws_ecr_repository.main.repository_url
}

output "repository_arn" {
  description = "ARN of the repository."
  value       = aws_ecr_repository.main.arn
}
