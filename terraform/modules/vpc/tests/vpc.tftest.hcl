mock_provider "aws" {
  source = "../../tests/mocks"
}

variables {
  name               = "demo-flask-app-test"
  cidr_block         = "10.9.0.0/16"
  az_count           = 3
  nat_gateway_per_az = true
}

run "a_tier_has_one_subnet_per_zone" {
  command = plan

  assert {
    condition = alltrue([
      for tier in [aws_subnet.public, aws_subnet.private, aws_subnet.database] :
      toset(keys(tier)) == toset(["eu-north-1a", "eu-north-1b", "eu-north-1c"])
    ])
    error_message = "Each tier needs one subnet in each of the three zones."
  }

  assert {
    condition     = length(distinct(flatten([for tier in values(local.cidrs) : values(tier)]))) == 9
    error_message = "Nine subnets of equal size need nine ranges."
  }
}

run "the_database_has_no_way_to_the_internet" {
  command = plan

  override_resource {
    target          = aws_route_table.database
    values          = { id = "rtb-database" }
    override_during = plan
  }

  assert {
    condition     = alltrue([for link in values(aws_route_table_association.database) : link.route_table_id == "rtb-database"])
    error_message = "The database subnets must hang on the database's own table."
  }

  assert {
    condition = alltrue([
      for route in concat([aws_route.public_internet], values(aws_route.private_nat)) : try(route.route_table_id != "rtb-database", false)
    ])
    error_message = "No route may be made in the database's table."
  }

  override_resource {
    target          = aws_route_table.public
    values          = { id = "rtb-public" }
    override_during = plan
  }

  override_resource {
    target          = aws_route_table.private
    values          = { id = "rtb-private" }
    override_during = plan
  }
}

run "all_zones_may_share_one_nat_gateway" {
  command = plan

  variables {
    nat_gateway_per_az = false
  }

  assert {
    condition     = toset(keys(aws_nat_gateway.main)) == toset(["eu-north-1a"])
    error_message = "One NAT gateway was asked for."
  }

  assert {
    condition     = length(aws_route.private_nat) == 3
    error_message = "Each private subnet still needs its way out."
  }
}

run "refuses_a_fourth_zone" {
  command = plan

  variables {
    az_count = 4
  }

  expect_failures = [var.az_count]
}

run "refuses_a_range_that_is_no_16" {
  command = plan

  variables {
    cidr_block = "10.9.0.0/20"
  }

  expect_failures = [var.cidr_block]
}
