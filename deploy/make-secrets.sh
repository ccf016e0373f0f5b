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

random_hex() { # number of bytes
    od -A n -t x1 -N "$1" /dev/urandom | tr -d ' \n'
}

bytes_of() { # hex
    rest=$1
    while [ -n "$rest" ]; do
        after=${rest#??}
        printf "\\$(printf '%o' "0x${rest%"$after"}")"
        rest=$after
    done
}

# What RabbitMQ keeps of a password: four random bytes, then the SHA-256 of these and the password, all in base64.
rabbitmq_hash() { # password
    salt=$(random_hex 4)
    digest=$({ bytes_of "$salt" && printf '%s' "$1"; } | sha256sum | cut -d ' ' -f 1)
    bytes_of "$salt$digest" | base64
}

rabbitmq_user() { # name tags password
    printf '{"name": "%s", "tags": [%s], "password_hash": "%s", "hashing_algorithm": "%s"}' \
        "$1" "$2" "$(rabbitmq_hash "$3")" rabbit_password_hashing_sha256
}

keep_or_make() { # name content
    [ -e "$1" ] && return
    printf '%s\n' "$2" >"$1"
    chmod 644 "$1"
    echo "made deploy/secrets/$1"
}

keep_or_make secret_key "$(random_hex 32)"
keep_or_make secret_key_previous ""
keep_or_make postgres_password "$(random_hex 32)"
keep_or_make rabbitmq_password "$(random_hex 32)"
keep_or_make rabbitmq_operator_password "$(random_hex 16)"
keep_or_make rabbitmq_monitor_password "$(random_hex 16)"

postgres_password=$(cat postgres_password)
rabbitmq_password=$(cat rabbitmq_password)
keep_or_make database_url "postgresql+psycopg://entra_sms:$postgres_password@postgres:5432/entra_sms"
keep_or_make amqp_url "amqp://entra_sms:$rabbitmq_password@rabbitmq:5672/%2F"
# What each of them may do is in deploy/rabbitmq/definitions.json.
keep_or_make rabbitmq_accounts.json "{\"users\": [
  $(rabbitmq_user entra_sms '' "$rabbitmq_password"),
  $(rabbitmq_user operator '"monitoring"' "$(cat rabbitmq_operator_password)"),
  $(rabbitmq_user monitor '"monitoring"' "$(cat rabbitmq_monitor_password)")
]}"
