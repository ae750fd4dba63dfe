# Everything runs in .venv, which make sets up itself; it needs python3 (3.10 to 3.12) and make.
PYTHON ?= $(firstword $(foreach python,python3 python3.12 python3.11 python3.10,$(shell \
	$(python) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $(python))))
VENV = .venv
RUN = $(VENV)/bin/python
JOBS ?= 2

.PHONY: help demo test lint format bench brokers brokers-installed clean

help:
	@echo "make demo     set up, and watch orders flow from an embedded queue to a file"
	@echo "make test     set up, and run all tests, on real servers"
	@echo "make lint     ruff and mypy"
	@echo "make format   have ruff format the code"
	@echo "make bench    run the benchmarks"
	@echo "make brokers  start RabbitMQ, Kafka and an SQS server to play with"
	@echo "make clean    remove what make made"

demo: $(VENV)/ready
	@$(RUN) -m pipelines demo

test: $(VENV)/ready brokers-installed
	$(RUN) -m pytest -n $(JOBS) --dist worksteal

lint: $(VENV)/ready
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

format: $(VENV)/ready
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: $(VENV)/ready
	$(RUN) -m benchmarks all

brokers: $(VENV)/ready brokers-installed
	@$(RUN) -m tests.brokers

# What tests start besides Python packages: RabbitMQ; Java and Maven, which gets Kafka; PostgreSQL and MariaDB; kcat,
# a client of others; and iproute2, for networks of several machines. Debian's own servers of them are not started.
# What is still missing then is named by the tests that need it.
brokers-installed:
	@missing="$$(test -x /usr/lib/rabbitmq/bin/rabbitmq-server || echo rabbitmq-server; \
		command -v java >/dev/null || echo default-jre-headless; \
		command -v mvn >/dev/null || echo maven; \
		ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo postgresql; \
		test -x /usr/sbin/mariadbd || command -v mariadbd >/dev/null || echo mariadb-server; \
		command -v kcat >/dev/null || echo kcat; \
		command -v ip >/dev/null || echo iproute2)"; \
	test -z "$$missing" && exit; \
	install="apt-get install -y --no-install-recommends"; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "Some tests need more than is installed here; on Debian, as root: $$install" $$missing; exit; fi; \
	echo "Installing for the tests:" $$missing; export DEBIAN_FRONTEND=noninteractive; \
	policy=/usr/sbin/policy-rc.d; test -e $$policy || { trap "rm $$policy" EXIT; \
		printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; }; \
	apt-get update -qq; \
	for package in $$missing; do $$install -qq $$package >/dev/null || echo "Not installed: $$package"; done

clean:
	rm -rf $(VENV) .cache .pipelines .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info

# The entry points of pyproject.toml are read at installation, so a change of it installs anew.
$(VENV)/ready: pyproject.toml
	@test -n "$(PYTHON)" || { \
		echo "No suitable Python: Bytewax runs on Python 3.10, 3.11 and 3.12, and python3 is" \
			"$$(python3 --version 2>/dev/null || echo not installed)."; \
		echo "Install one of them, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || { \
		echo "$(PYTHON) is $$($(PYTHON) --version 2>&1): Bytewax runs on Python 3.10, 3.11 and 3.12 only."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version); this takes a minute or two, once."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
