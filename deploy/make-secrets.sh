#!/bin/sh
# Makes the files in deploy/secrets that docker-compose.yml mounts. What is there already stays as it is.
#
# The folder is closed to everybody but its owner. The files in it are readable, since Compose mounts them with the
# owner and mode that they have here, and the containers run as users of their own.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

random_hex() { # 32 bytes
    od -A n -t x1 -N 32 /dev/urandom | tr -d ' \n'
}

keep_or_make() { # name content
    [ -e "$1" ] && return
    printf '%s\n' "$2" >"$1"
    chmod 644 "$1"
    echo "made deploy/secrets/$1"
}

keep_or_make secret_key "$(random_hex)"
keep_or_make secret_key_previous ""
keep_or_make postgres_password "$(random_hex)"
keep_or_make rabbitmq_password "$(random_hex)"

postgres_password=$(cat postgres_password)
rabbitmq_password=$(cat rabbitmq_password)
keep_or_make database_url "postgresql+psycopg://entra_sms:$postgres_password@postgres:5432/entra_sms"
keep_or_make amqp_url "amqp://entra_sms:$rabbitmq_password@rabbitmq:5672/%2F"
keep_or_make rabbitmq_account.conf "default_user = entra_sms
default_pass = $rabbitmq_password"
