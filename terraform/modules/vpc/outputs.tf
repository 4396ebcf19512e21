output "vpc_id" {
  description = "Id of the VPC."
  value       = aws_vpc.main.id
}

output "public_subnet_ids" {
  description = "Subnets of the load balancer and the NAT gateways, by zone."
  value       = [for az in local.azs : aws_subnet.public[az].id]
  depends_on  = [aws_route.public_internet, aws_route_table_association.public]
}

# An instance that boots before its way out exists fails in its user data: hence the depends_on.
output "private_subnet_ids" {
  description = "Subnets of the instances, by zone."
  value       = [for az in local.azs : aws_subnet.private[az].id]
  depends_on  = [aws_route.private_nat, aws_route_table_association.private]
}

output "database_subnet_ids" {
  description = "Subnets of the database, by zone; without a way to the internet."
  value       = [for az in local.azs : aws_subnet.database[az].id]
}

output "private_subnet_cidrs" {
  description = "Address ranges of the instances."
  value       = values(local.cidrs.private)
}

output "database_subnet_cidrs" {
  description = "Address ranges of the database."
  value       = values(local.cidrs.database)
}
