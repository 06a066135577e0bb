//! Groups of a real directory server.

use moongate_tests::beds::ldap::Ldap;
use moongate_tests::{Gateway, Request, http, wait};
use serde_json::{Value, json};
use std::time::Duration;

const ENTRIES: &str = "\
dn: ou=people,dc=moon,dc=test
objectClass: organizationalUnit
ou: people

dn: uid=ann,ou=people,dc=moon,dc=test
objectClass: inetOrgPerson
objectClass: posixAccount
uid: ann
cn: Ann
sn: Lee
uidNumber: 5001
gidNumber: 6001
homeDirectory: /home/ann

dn: uid=bob,ou=people,dc=moon,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Ray

dn: ou=groups,dc=moon,dc=test
objectClass: organizationalUnit
ou: groups

dn: cn=primary,ou=groups,dc=moon,dc=test
objectClass: posixGroup
cn: primary
gidNumber: 6001

dn: cn=research,ou=groups,dc=moon,dc=test
objectClass: posixGroup
cn: research
gidNumber: 6002
memberUid: ann

dn: cn=readers,ou=groups,dc=moon,dc=test
objectClass: groupOfNames
cn: readers
member: uid=ann,ou=people,dc=moon,dc=test
member: uid=bob,ou=people,dc=moon,dc=test
";

fn gateway(ldap: &Ldap, password: &std::path::Path) -> Gateway {
    Gateway::fresh(&format!(
        "[auth]
methods = ['simple']
[auth.groups]
sources = ['ldap']
ttl = '2s'
negative_ttl = '1s'
[auth.groups.ldap]
url = '{}'
bind_dn = '{}'
bind_password_file = '{}'
user_base = 'ou=people,dc=moon,dc=test'
group_base = 'ou=groups,dc=moon,dc=test'
timeout = '2s'",
        ldap.url(),
        Ldap::ADMIN,
        password.display()
    ))
}

fn groups(gateway: &Gateway, user: &str) -> Value {
    let request = Request::get(&format!("/whoami?user.name={user}"));
    let answer = http::send(gateway.admin(), &request).unwrap();
    assert_eq!(answer.status, 200);
    answer.json()["groups"].clone()
}

#[test]
fn groups_come_from_the_directory_and_are_unknown_without_it() {
    let ldap = Ldap::start(ENTRIES);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, format!("{}\n", Ldap::PASSWORD)).unwrap();
    let gateway = gateway(&ldap, &password);
    assert_eq!(
        groups(&gateway, "ann"),
        json!(["primary", "readers", "research"])
    );
    assert_eq!(groups(&gateway, "bob"), json!(["readers"]));
    assert_eq!(groups(&gateway, "nobody"), json!([]));
    ldap.server().kill();
    assert_eq!(
        groups(&gateway, "carol"),
        json!(null),
        "a failure is no empty set"
    );
    let limit = Duration::from_secs(30);
    wait::until_true("what was known has ended", limit, || {
        groups(&gateway, "ann") == json!(null)
    });
    ldap.restart();
    wait::until_true("it is asked again", limit, || {
        groups(&gateway, "ann") == json!(["primary", "readers", "research"])
    });
    ldap.server().freeze();
    assert_eq!(
        groups(&gateway, "dave"),
        json!(null),
        "one that hangs is a failure too"
    );
    ldap.server().thaw();
}

#[test]
fn a_wrong_password_is_a_failure_that_is_told() {
    let ldap = Ldap::start(ENTRIES);
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    let gateway = gateway(&ldap, &password);
    assert_eq!(groups(&gateway, "ann"), json!(null));
    // A line of the log may come after the answer.
    wait::until_true("the log says so", Duration::from_secs(10), || {
        gateway.log().contains("does not let cn=admin")
    });
}
