mock_provider "aws" {
  source = "../../tests/mocks"
}

run "without_a_network_there_is_no_worker" {
  command = plan

  assert {
    condition     = length(module.worker) == 0 && length(module.worker_repository) == 0 && output.work_pool == null
    error_message = "A worker is asked for."
  }
}

run "its_repository_comes_first" {
  command = plan

  variables {
    worker = {
      vpc_id          = "vpc-0123456789abcdef0"
      subnet_ids      = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
      prefect_api_url = "https://prefect.example.com/api"
    }
  }

  assert {
    condition     = length(module.worker_repository) == 1 && length(module.worker) == 0
    error_message = "The image must be pushed somewhere before a worker can start from it."
  }
}

run "with_an_image_there_is_a_worker_and_the_pool_is_told" {
  command = plan

  variables {
    worker = {
      vpc_id          = "vpc-0123456789abcdef0"
      subnet_ids      = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
      prefect_api_url = "https://prefect.example.com/api"
      image           = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/demo-flask-app-runbook@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    }
  }

  assert {
    condition     = length(module.worker) == 1 && output.work_pool.image == var.worker.image && output.work_pool.prefect_login == "PREFECT_API_AUTH_STRING"
    error_message = "The job template is made of what the worker is made of."
  }
}

run "an_image_by_tag_is_refused" {
  command = plan

  variables {
    worker = {
      vpc_id          = "vpc-0123456789abcdef0"
      subnet_ids      = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
      prefect_api_url = "https://prefect.example.com/api"
      image           = "demo-flask-app-runbook:latest"
    }
  }

  expect_failures = [var.worker]
}
