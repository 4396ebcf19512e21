output "ecr_repository_url" {
  description = "Registry and repository, to which @sha256:<digest> is appended."
  value       = module.ecr.repository_url
}

output "ecr_repository_arn" {
  description = "ARN of the repository."
  value       = module.ecr.repository_arn
}
