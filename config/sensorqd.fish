# SPDX-License-Identifier: Apache-2.0
# fish completion for sensorqd(8)

set -l verbs init run check setup once status rejected alerts

function __sensorqd_recipes
    echo none
    sensorqd init --list 2>/dev/null | string replace -f -r "^--$argv[1] (\S+).*" '$1'
end

complete -c sensorqd -f
complete -c sensorqd -s c -l config -r -F -d configuration
complete -c sensorqd -s h -l help -d help
complete -c sensorqd -l version -d version
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a init -d 'make a first configuration'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a run -d 'the daemon, in the foreground'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a check -d 'read the configuration and test every remote end'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a setup -d 'create what is missing'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a once -d 'poll, publish and store once'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a status -d 'what the running daemon is doing'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a rejected -d 'what could not be read, published or stored'
complete -c sensorqd -n "not __fish_seen_subcommand_from $verbs" -a alerts -d 'the state of each rule for each device; a test message'
complete -c sensorqd -n '__fish_seen_subcommand_from alerts; and not __fish_seen_subcommand_from list test' -a 'list test'
complete -c sensorqd -n '__fish_seen_subcommand_from alerts; and not __fish_seen_subcommand_from test' -l json -d 'as JSON'
complete -c sensorqd -n '__fish_seen_subcommand_from check' -l offline -d 'read the configuration only'
complete -c sensorqd -n '__fish_seen_subcommand_from check' -l run-programs -d 'run the programs of exec sources'
complete -c sensorqd -n '__fish_seen_subcommand_from status' -l json -d 'the whole file'
complete -c sensorqd -n '__fish_seen_subcommand_from status' -l check -d 'silent when all is well'
complete -c sensorqd -n '__fish_seen_subcommand_from status' -l watch -d 'again and again'
complete -c sensorqd -n '__fish_seen_subcommand_from rejected; and not __fish_seen_subcommand_from list show replay drop' -a 'list show replay drop'
complete -c sensorqd -n '__fish_seen_subcommand_from rejected; and __fish_seen_subcommand_from replay drop' -l all -d 'every one'
for option in project topic endpoint set
    complete -c sensorqd -n '__fish_seen_subcommand_from init' -l $option -x
end
for option in key-file ca-file state-dir secret
    complete -c sensorqd -n '__fish_seen_subcommand_from init' -l $option -r -F
end
for option in source sink page
    complete -c sensorqd -n '__fish_seen_subcommand_from init' -l $option -x -a "(__sensorqd_recipes $option)"
end
for option in list yes unchecked enable dry-run
    complete -c sensorqd -n '__fish_seen_subcommand_from init' -l $option
end
