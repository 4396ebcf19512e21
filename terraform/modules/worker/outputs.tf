output "work_pool" {
  description = "What the work pool's job template is made of: deployments/ecs.py reads it."
  value = {
    region             = local.region
    cluster_arn        = aws_ecs_cluster.main.arn
    family             = local.family
    image              = var.image
    cpu                = var.run_size.cpu
    memory             = var.run_size.memory
    execution_role_arn = aws_iam_role.execution.arn
    task_role_arn      = aws_iam_role.run.arn
    log_group_name     = aws_cloudwatch_log_group.main.name
    subnet_ids         = var.subnet_ids
    security_group_id  = aws_security_group.main.id
    prefect_login      = var.prefect_login
    secret_arn         = aws_secretsmanager_secret.main.arn
  }
}
