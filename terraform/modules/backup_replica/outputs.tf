output "arn" {
  description = "Replicated automated backups: what a point-in-time restore in their Region starts from."
  value       = aws_db_instance_automated_backups_replication.main.id
}
