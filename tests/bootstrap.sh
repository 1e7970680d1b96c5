# Sourced by tests/run and tests/demo: what a fresh Debian machine lacks is installed, and a Python environment is made.
# bootstrap_packages LIST...   Debian packages, only those that are missing
# bootstrap_own DIRECTORY NAME makes it, or sees whose it is; NAME: the variable that names another
# bootstrap_python             $PYTHON: an environment with tests/requirements.txt, kept between runs in $SENSORQD_VENV

tests_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo_dir=$(dirname "$tests_dir")
: "${SENSORQD_VENV:=/var/tmp/sensorqd-venv}"
export SENSORQD_VENV

# A directory that everybody could have made under that name may hold anything, and what is in it is run: it must be ours, root's, or that of who called sudo.
bootstrap_own() {
        local owner
        mkdir -p "$(dirname "$1")" && mkdir -m 755 "$1" 2>/dev/null && return 0
        owner=$(stat -c %u "$1")
        [ -d "$1" ] && [ ! -L "$1" ] && { [ "$owner" = 0 ] || [ "$owner" = "$(id -u)" ] || [ "$owner" = "${SUDO_UID:-}" ]; } && return 0
        echo "$1 is another user's: remove it, or name another place ($2)" >&2
        return 1
}

bootstrap_packages() {
        local missing=() package
        for package in "$@"; do
                dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
        done
        [ ${#missing[@]} -eq 0 ] && return 0
        if [ "$(id -u)" -ne 0 ]; then
                echo "These packages are missing, and only root can install them: ${missing[*]}" >&2
                return 1
        fi
        echo "Installing ${#missing[@]} packages: ${missing[*]}"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/var/tmp/sensorqd-apt.log 2>&1 ||
                { tail -n 20 /var/tmp/sensorqd-apt.log >&2; return 1; }
}

bootstrap_python() {
        local want
        bootstrap_own "$SENSORQD_VENV" SENSORQD_VENV || return 1
        want=$(sha256sum "$tests_dir/requirements.txt" | cut -d' ' -f1)
        PYTHON=$SENSORQD_VENV/bin/python
        if [ "$(cat "$SENSORQD_VENV/.requirements" 2>/dev/null)" != "$want" ]; then
                echo "Making the tests' Python environment in $SENSORQD_VENV"
                python3 -m venv "$SENSORQD_VENV" && "$SENSORQD_VENV/bin/pip" install -q --disable-pip-version-check -r "$tests_dir/requirements.txt" || return 1
                echo "$want" >"$SENSORQD_VENV/.requirements"
        fi
}
