output "arn" {
  description = "ARN of the load balancer."
  value       = aws_lb.main.arn
}

output "arn_suffix" {
  description = "Load balancer as CloudWatch's LoadBalancer dimension names it."
  value       = aws_lb.main.arn_suffix
}

output "url" {
  description = "Where the application answers."
  value       = "${local.https ? "https" : "http"}://${aws_lb.main.dns_name}"
}

# Scaling by requests per target is refused as long as no listener forwards to the group: hence the depends_on.
output "target_group" {
  description = "Target group: ARN, port, CloudWatch dimension and the label of its request metric."
  value = {
    arn            = aws_lb_target_group.main.arn
    arn_suffix     = aws_lb_target_group.main.arn_suffix
    port           = aws_lb_target_group.main.port
    resource_label = "${aws_lb.main.arn_suffix}/${aws_lb_target_group.main.arn_suffix}"
  }
  depends_on = [aws_lb_listener.http, aws_lb_listener.https]
}
