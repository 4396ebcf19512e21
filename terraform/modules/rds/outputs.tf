output "identifier" {
  description = "Identifier of the database instance."
  value       = aws_db_instance.main.identifier
}

output "arn" {
  description = "ARN of the database instance."
  value       = aws_db_instance.main.arn
}

output "address" {
  description = "Host name of the database, without the port."
  value       = aws_db_instance.main.address
}

output "port" {
  description = "Port of the database."
  value       = aws_db_instance.main.port
}

# Who learns of the secret may read it at once: hence the depends_on.
output "secret_arn" {
  description = "Secret with the database's address and credentials."
  value       = aws_secretsmanager_secret.main.arn
  depends_on  = [aws_secretsmanager_secret_version.main]
}
