# Mirrored in SSM: without a worker there is neither output nor parameter. By the variable, which is known when planning.
locals {
  worker_runs = try(var.worker.image, null) != null
  outputs     = local.worker_runs ? { work_pool = module.worker["main"].work_pool } : {}
}

output "ecr_repository_url" {
  description = "Registry and repository, to which @sha256:<digest> is appended."
  value       = module.ecr.repository_url
}

output "ecr_repository_arn" {
  description = "ARN of the repository."
  value       = module.ecr.repository_arn
}

output "worker_repository_url" {
  description = "Registry and repository of the worker's image; absent without a worker."
  value       = one([for repository in module.worker_repository : repository.repository_url])
}

output "work_pool" {
  description = "What the work pool's job template is made of; absent without a worker."
  value       = lookup(local.outputs, "work_pool", null)
}
